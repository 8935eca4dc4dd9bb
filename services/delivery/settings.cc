#include "services/delivery/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/config/defaults.h"
#include "lib/config/duration.h"
#include "lib/delivery/maildir.h"
#include "lib/net/dialer.h"
#include "lib/net/egress_guard.h"
#include "lib/net/proxy_dialer.h"
#include "lib/smtp/sasl_client.h"
#include "lib/tls/context.h"
#include "lib/tls/peer_policy.h"
#include "services/delivery/source_settings.h"

namespace hikyaku::delivery {
namespace {

// c-ares asks each server up to this often within dns.timeout.
constexpr int kDnsTries = 3;

// Whom c-ares asks when the configuration names nobody.
constexpr char kResolvConf[] = "/etc/resolv.conf";

std::size_t SystemServers() {
  std::ifstream file(kResolvConf);
  std::size_t servers = 0;
  for (std::string line; std::getline(file, line);) servers += absl::StartsWith(line, "nameserver");
  return servers;
}

absl::Status At(absl::string_view key, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
}

// "host.123": unique on a network, and readable in a shard's log.
std::string WorkerName(const v1::Config& config) { return absl::StrCat(config.hostname(), ".", getpid()); }

// Our SMTP listeners: a mail for one of them would come back to us.
std::vector<net::Endpoint> OwnEndpoints(const v1::Config& config) {
  std::vector<net::Endpoint> own;
  for (const v1::SmtpListener& listener : config.listeners().smtp()) {
    if (auto endpoint = net::ParseEndpoint(listener.address()); endpoint.ok()) own.push_back(*std::move(endpoint));
  }
  return own;
}

smtp::ClientTimeouts TimeoutsFrom(const v1::Timeouts& config) {
  smtp::ClientTimeouts timeouts;
  timeouts.connect = config::ToDuration(config.connect());
  timeouts.greeting = config::ToDuration(config.greeting());
  timeouts.hello = config::ToDuration(config.hello());
  timeouts.mail = config::ToDuration(config.mail());
  timeouts.rcpt = config::ToDuration(config.rcpt());
  timeouts.data = config::ToDuration(config.data());
  timeouts.block = config::ToDuration(config.block());
  timeouts.dot = config::ToDuration(config.dot());
  timeouts.rset = config::ToDuration(config.rset());
  timeouts.quit = config::ToDuration(config.quit());
  timeouts.tls = config::ToDuration(config.tls());
  return timeouts;
}

TlsLevel LevelFrom(v1::DeliveryTls::Policy policy) {
  switch (policy) {
    case v1::DeliveryTls::none: return TlsLevel::kNone;
    case v1::DeliveryTls::require: return TlsLevel::kRequire;
    case v1::DeliveryTls::verify: return TlsLevel::kVerify;
    case v1::DeliveryTls::dane: return TlsLevel::kDane;
    case v1::DeliveryTls::dane_only: return TlsLevel::kDaneOnly;
    default: return TlsLevel::kOpportunistic;
  }
}

// The system's roots may be missing, as in a small image: then nobody is believed, which only `verify` minds.
absl::StatusOr<std::shared_ptr<const tls::TrustRoots>> RootsFrom(const std::string& path) {
  std::ifstream file(path);
  std::stringstream pem;
  pem << file.rdbuf();
  if (!file && path == config::kSystemRoots) {
    log::Warn("no certificate authority is believed: the system's list is missing", {{"file", path}});
    return nullptr;
  }
  if (!file) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read: ", std::strerror(errno)));
  auto roots = tls::TrustRoots::FromPem(pem.str());
  if (!roots.ok()) return absl::InvalidArgumentError(absl::StrCat(path, " ", roots.status().message()));
  return roots;
}

absl::StatusOr<TlsSettings> TlsFrom(const v1::DeliveryTls& config, Clock& clock) {
  const auto roots = RootsFrom(config.ca_file());
  if (!roots.ok()) return At("delivery.tls.ca_file", roots.status());
  const auto version =
      config.min_version() == v1::DeliveryTls::tls13 ? tls::MinVersion::kTls13 : tls::MinVersion::kTls12;
  TlsSettings settings;
  settings.context = std::make_shared<const tls::ClientContext>(*roots, version, clock);
  settings.level = LevelFrom(config.policy());
  settings.clear_text_after = config::ToDuration(config.clear_text_after());
  settings.broken_memory = config::ToDuration(config.broken_memory());
  settings.mta_sts = config.mta_sts();
  return settings;
}

RouteRow RowFrom(const v1::Route& route) {
  RouteRow row{route.domain(), route.to(), route.sender_domain(), route.tenant(), route.stream(), route.sources()};
  if (route.tls().has_policy()) row.tls = LevelFrom(route.tls().policy());
  if (route.tls().has_implicit()) row.tls_implicit = route.tls().implicit();
  if (!route.has_auth()) return row;
  row.login = LoginOptions{route.auth().user(), route.auth().password_file(), {}, route.auth().allow_clear()};
  for (const std::string& name : route.auth().mechanisms()) {
    if (const auto mechanism = smtp::ParseSaslMechanism(name)) row.login->mechanisms.push_back(*mechanism);
  }
  return row;
}

}  // namespace

absl::StatusOr<WorkerOptions> WorkerOptionsFrom(const v1::Config& config) {
  const v1::Delivery& delivery = config.delivery();
  WorkerOptions options;
  options.name = WorkerName(config);
  options.concurrency = delivery.concurrency();
  options.attempt.helo = delivery.helo().empty() ? config.hostname() : delivery.helo();
  options.attempt.own.name = config.hostname();
  options.attempt.own.endpoints = OwnEndpoints(config);
  options.attempt.recipients_per_transaction = delivery.recipients_per_transaction();
  options.attempt.timeouts = TimeoutsFrom(delivery.timeouts());
  options.pool.messages_per_connection = static_cast<int>(delivery.messages_per_connection());
  options.pool.idle_limit = config::ToDuration(delivery.idle_connection());
  return options;
}

absl::StatusOr<Network> NetworkFrom(const v1::Config& config, Clock& clock, std::shared_ptr<WarmUpLedger> ledger) {
  std::vector<address::Cidr> allowed;
  for (const std::string& text : config.delivery().allow_ranges()) {
    const auto range = address::Cidr::Parse(text);
    if (!range.ok()) return At("delivery.allow_ranges", range.status());
    allowed.push_back(*range);
  }
  std::vector<RouteRow> rows;
  for (const v1::Route& route : config.delivery().routes()) rows.push_back(RowFrom(route));
  ASSIGN_OR_RETURN(RouteTable routes, RouteTable::Create(rows, static_cast<std::uint16_t>(config.delivery().port())));
  net::EgressGuard guard(std::move(allowed));
  auto direct = std::make_shared<net::TcpDialer>(guard, OwnEndpoints(config));
  auto dialer = std::make_shared<net::ProxyDialer>(guard, std::move(direct));
  std::shared_ptr<Maildir> maildir;
  if (const std::string& root = config.delivery().maildir_root(); !root.empty())
    maildir = std::make_shared<Maildir>(root);
  ASSIGN_OR_RETURN(Sources sources, SourcesFrom(config.delivery()));
  for (const RouteRow& row : rows) {
    if (sources.Find(row.sources) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("delivery.routes: there is no pool \"", row.sources, "\""));
    }
  }
  ASSIGN_OR_RETURN(TlsSettings tls, TlsFrom(config.delivery().tls(), clock));
  if (ledger == nullptr) ledger = std::make_shared<WarmUpLedger>();
  return Network{std::move(routes),
                 std::move(guard),
                 std::move(dialer),
                 std::move(maildir),
                 std::move(tls),
                 !config.reports().tls().from().empty(),
                 std::make_shared<const Sources>(std::move(sources)),
                 std::move(ledger)};
}

DkimOptions DkimOptionsFrom(const v1::Config& config) {
  // Validation has seen to it that these are domains.
  const auto a_label = [](const std::string& name) { return address::ToALabel(name).value_or(name); };
  DkimOptions options;
  options.folder = config.dkim().folder();
  for (const v1::DkimDomain& domain : config.dkim().domains()) {
    DkimRow row;
    row.from = a_label(domain.domain());
    row.domain = domain.sign_as().empty() ? row.from : a_label(domain.sign_as());
    for (const std::string& selector : domain.selectors()) row.selectors.push_back(absl::AsciiStrToLower(selector));
    options.rows.push_back(std::move(row));
  }
  return options;
}

bool AsksForDane(const v1::Config& config) {
  const auto dane = [](v1::DeliveryTls::Policy policy) { return policy >= v1::DeliveryTls::dane; };
  const auto& routes = config.delivery().routes();
  return dane(config.delivery().tls().policy()) ||
         std::any_of(routes.begin(), routes.end(), [&](const v1::Route& route) { return dane(route.tls().policy()); });
}

absl::StatusOr<dns::CaresResolverOptions> ResolverOptionsFrom(const v1::Config& config) {
  dns::CaresResolverOptions options;
  for (const std::string& text : config.dns().servers()) {
    const auto server = net::ParseEndpoint(text, /*default_port=*/53);
    if (!server.ok()) return At("dns.servers", server.status());
    options.server.servers.push_back(*server);
  }
  options.server.tries = kDnsTries;
  // In each round every server gets the wait of the round, which doubles: 1 + 2 + 4 parts a server make up the whole.
  const std::size_t servers = options.server.servers.empty() ? SystemServers() : options.server.servers.size();
  const std::int64_t parts = 7 * static_cast<std::int64_t>(std::max<std::size_t>(1, servers));
  options.server.timeout = std::max(config::ToDuration(config.dns().timeout()) / parts, absl::Milliseconds(100));
  options.cache.max_ttl = config::ToDuration(config.dns().max_ttl());
  options.cache.believe_ad = options.server.ask_for_proof = config.dns().validating();
  return options;
}

}  // namespace hikyaku::delivery
