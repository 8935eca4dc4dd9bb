// What a connection of the attempt is made of: from which source, by which protocol, under which login.
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "lib/delivery/attempt.h"
#include "lib/delivery/login_dialogue.h"

namespace hikyaku::delivery {
namespace {

using outcome::Outcome;

// A socket has no address to come from.
const Source& Local() {
  static const Source* const source = new Source;
  return *source;
}

}  // namespace

const Source* Attempt::SourceFor(const net::Endpoint& endpoint) {
  if (absl::StartsWith(hop_.host, "unix:")) return &Local();
  return sources_.For(endpoint.address.is_v4(), env_.clock.Now());
}

// Nothing: there is no source for this address.
std::optional<ConnectionKey> Attempt::KeyOf(const PlannedHost& host, std::size_t index) {
  const Source* source = SourceFor(host.endpoints[index]);
  if (source == nullptr) return std::nullopt;
  ConnectionKey key{host.name, host.endpoints[index], source->address};
  key.protocol = hop_.kind == NextHop::Kind::kLmtp ? smtp::Protocol::kLmtp : smtp::Protocol::kSmtp;
  key.tls = DemandOf(host);
  key.via = source->name;
  key.login = login_id_;
  return key;
}

// Nothing: go on. An outcome: the route's login cannot be used now, and nobody needs to be asked.
std::optional<Outcome> Attempt::PrepareLogin() {
  if (login_ == nullptr) return std::nullopt;
  const absl::Time now = env_.clock.Now();
  const auto ready = login_->Get(now);  // First: a new password ends the rest of the old one.
  if (!ready.ok()) return JudgeNoLogin(ready.status().message(), login_->route(), "");
  login_id_ = ready->id;
  return login_->Resting(now);
}

awaitable<bool> Attempt::LoggedIn(Connection& connection) {
  const std::optional<Outcome> trouble = co_await LogIn(connection, *login_, env_.clock);
  if (!trouble) co_return true;
  if (connection.cancelled()) {
    stopping_ = true;
    co_return false;
  }
  remote_ = connection.remote();
  NotePending(WithTls(*trouble, connection));
  co_return false;
}

}  // namespace hikyaku::delivery
