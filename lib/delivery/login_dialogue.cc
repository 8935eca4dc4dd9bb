#include "lib/delivery/login_dialogue.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/delivery/verdict.h"

namespace hikyaku::delivery {
namespace {

constexpr std::size_t kNonceBytes = 24;  // 192 bits; RFC 5802 asks for what nobody can guess.

// Empty: the password may be shown.
absl::string_view WhyNot(const Connection& connection, const Login& login) {
  if (connection.key().tls.no_login) return "the host has TLSA records, but none that it could be proved by";
  if (login.options().allow_clear || (connection.tls() && connection.tls()->proof.verified)) return "";
  return "TLS has not proven the host; see tls.policy and auth.allow_clear of the route";
}

std::string NothingInCommon(const std::string& offered) {
  const absl::string_view list = absl::StripAsciiWhitespace(offered);
  if (list.empty()) return "the host offers no AUTH";
  return absl::StrCat("the host offers only ", list);
}

}  // namespace

awaitable<std::optional<outcome::Outcome>> LogIn(Connection& connection, Login& login, Clock& clock) {
  const std::string& route = login.route();
  auto ready = login.Get(clock.Now());
  if (!ready.ok()) co_return JudgeNoLogin(ready.status().message(), route, connection.remote());
  const absl::string_view why_not = WhyNot(connection, login);
  if (!why_not.empty()) co_return JudgeNoLogin(why_not, route, connection.remote());
  const std::string& offered = connection.session().extensions().auth;
  const auto mechanism = smtp::ChooseSasl(offered, login.options().mechanisms);
  if (!mechanism) co_return JudgeNoLogin(NothingInCommon(offered), route, connection.remote());
  const std::uint64_t id = ready->id;
  smtp::SaslClient sasl(*mechanism, std::move(ready->credentials), RandomHex(kNonceBytes));
  co_await connection.Authenticate(&sasl);
  const smtp::ClientSession& session = connection.session();
  if (session.reusable()) {
    login.Succeeded(id);
    co_return std::nullopt;
  }
  if (!session.refusal()) co_return JudgeNoLogin(session.broke(), route, connection.remote());
  outcome::Outcome outcome = JudgeLoginRefused(*session.refusal(), route, connection.remote());
  login.Refused(id, outcome, clock.Now());
  co_return outcome;
}

}  // namespace hikyaku::delivery
