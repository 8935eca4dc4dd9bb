// `hikyaku explain`: what would become of a mail, by the configuration file and by DNS.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/address/address.h"
#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/config/effective.h"
#include "lib/config/role.h"
#include "lib/delivery/explain.h"
#include "lib/dns/cares_resolver.h"
#include "services/delivery/settings.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/text.h"
#include "services/submission/reloadable_policy.h"

namespace hikyaku::cli {
namespace {

struct ExplainFlags {
  std::string config;
  std::string address;
  std::string from;
  std::string author;
  std::string tenant = "default";
  std::string stream;
};

constexpr char kHelp[] =
    R"(Which route a mail to ADDRESS takes, to which hosts, with which TLS and login, from which source and signed by whom: each with
the key or record that says so. Nobody is connected to, but DNS is asked. Works from the configuration file, as the worker would after its next reload; it
needs no running server, so it shows a change before it is made.

Examples:
  hikyaku explain ann@example.com --config /etc/hikyaku.yaml
  hikyaku explain ann@example.com --config /etc/hikyaku.yaml --from news@shop.example --tenant shop --stream bulk)";

using Lines = std::vector<delivery::Explained>;

awaitable<void> Store(awaitable<Lines> task, Lines* lines) { *lines = co_await std::move(task); }

absl::StatusOr<Lines> ExplainBy(const v1::Config& config, const delivery::RouteQuery& query,
                                const std::string& author) {
  ASSIGN_OR_RETURN(delivery::WorkerOptions options, delivery::WorkerOptionsFrom(config));
  ASSIGN_OR_RETURN(const delivery::Network network, delivery::NetworkFrom(config, Clock::System()));
  ASSIGN_OR_RETURN(dns::CaresResolverOptions resolver_options, delivery::ResolverOptionsFrom(config));
  ASSIGN_OR_RETURN(const auto resolver, dns::CreateCaresResolver(std::move(resolver_options)));
  const delivery::DkimKeyring keyring(delivery::DkimOptionsFrom(config));
  options.attempt.keyring = &keyring;
  boost::asio::io_context context(1);
  Lines lines;
  boost::asio::co_spawn(
      context, Store(delivery::Explain(query, author, options.attempt, network, *resolver, Clock::System()), &lines),
      [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
      });
  context.run();
  if (network.routes.Route(query).remote()) {
    lines.push_back({"limits", absl::StrCat(config.delivery().messages_per_connection(), " messages a connection"),
                     "delivery.messages_per_connection"});
    lines.push_back({"limits", absl::StrCat(config.queue().domain_concurrency(), " connections at most for the domain"),
                     "queue.domain_concurrency"});
  }
  return lines;
}

// What submission says to the recipient at once, whoever sends the mail.
absl::StatusOr<Lines> ExplainRefusal(const v1::Config& config, const address::Address& recipient) {
  submission::ReloadablePolicy policy;
  RETURN_IF_ERROR(policy.Load(config));
  const auto refusal = policy.Refuse(recipient);
  if (!refusal) return Lines();
  return Lines{
      {"refused", absl::StrCat("550 ", *refusal), "when it is handed in; what follows is for mail in the queue"}};
}

void Print(const Lines& lines) {
  for (const delivery::Explained& line : lines) {
    const std::string text = Printable(line.text, 400);
    if (line.why.empty()) {
      std::printf("%-8s %s\n", line.what.c_str(), text.c_str());
    } else {
      std::printf("%-8s %s  [%s]\n", line.what.c_str(), text.c_str(), Printable(line.why, 200).c_str());
    }
  }
}

int RunExplain(const ExplainFlags& flags) {
  const auto fail = [](int code, absl::string_view why) {
    std::fprintf(stderr, "hikyaku: %s\n", std::string(why).c_str());
    return code;
  };
  const auto recipient = address::ParseAddress(flags.address);
  if (!recipient.ok()) return fail(kExitUsage, absl::StrCat("ADDRESS: ", recipient.status().message()));
  std::string sender, author;
  if (!flags.from.empty() && flags.from != "<>") {
    const auto parsed = address::ParseAddress(flags.from);
    if (!parsed.ok()) return fail(kExitUsage, absl::StrCat("--from: ", parsed.status().message()));
    sender = parsed->ToString();
    author = parsed->domain;
  }
  if (!flags.author.empty()) {
    const auto parsed = address::ParseAddress(flags.author);
    if (!parsed.ok()) return fail(kExitUsage, absl::StrCat("--header-from: ", parsed.status().message()));
    author = parsed->domain;
  }
  const auto loaded = config::LoadEffectiveConfig(flags.config, config::Role::kAll);
  if (!loaded.ok()) return fail(kExitUsage, loaded.status().message());
  const auto lines = ExplainBy(loaded->config, {recipient->domain, sender, flags.tenant, flags.stream}, author);
  if (!lines.ok()) return fail(kExitUsage, lines.status().message());
  const auto refusal = ExplainRefusal(loaded->config, *recipient);
  if (!refusal.ok()) return fail(kExitUsage, refusal.status().message());
  Print(*refusal);
  Print(*lines);
  return kExitDone;
}

}  // namespace

void AddExplain(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("explain", "Say what would become of a mail to an address, and why");
  app->footer(kHelp);
  const auto flags = std::make_shared<ExplainFlags>();
  app->add_option("ADDRESS", flags->address, "The recipient")->required();
  app->add_option("--config", flags->config, "The configuration file (YAML)")->required()->envname("HIKYAKU_CONFIG");
  app->add_option("--from", flags->from, "Envelope sender; <> or nothing: the null sender");
  app->add_option("--header-from", flags->author,
                  "Address in the mail's From, whose domain's key signs. Default: --from");
  app->add_option("--tenant", flags->tenant, "Tenant")->capture_default_str();
  app->add_option("--stream", flags->stream, "Stream of the tenant");
  commands->push_back({app, [flags] { return RunExplain(*flags); }});
}

}  // namespace hikyaku::cli
