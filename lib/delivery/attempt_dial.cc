// The attempt's connections: what each is made of (source, protocol, TLS, login), and what is noted of those that fail.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "lib/delivery/attempt.h"
#include "lib/delivery/login_dialogue.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::delivery {
namespace {

using outcome::Outcome;

constexpr absl::string_view kUnixHost = "unix:";

// No try to connect is shorter than this, however many addresses are left for the time of the attempt.
constexpr absl::Duration kShortestTry = absl::Seconds(5);

metrics::Counter& Connections(const std::string& result) {
  return metrics::DeclareCounter("hikyaku_delivery_connections_total",
                                 "Connections to mail hosts: opened, failed (no TCP), refused (greeting or EHLO).",
                                 {{"result", result}});
}

struct Metrics {
  metrics::Counter& opened = Connections("opened");
  metrics::Counter& failed = Connections("failed");
  metrics::Counter& refused = Connections("refused");
};

Metrics& Count() {
  static Metrics* const metrics = new Metrics;
  return *metrics;
}

// A socket has no address to come from.
const Source& Local() {
  static const Source* const source = new Source;
  return *source;
}

}  // namespace

const Source* Attempt::SourceFor(const net::Endpoint& endpoint) {
  if (absl::StartsWith(hop_.host, kUnixHost)) return &Local();
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

// Nothing when the host was not reached or refused: then that is noted.
awaitable<std::unique_ptr<Connection>> Attempt::Dial(const PlannedHost& host, std::size_t index) {
  std::optional<ConnectionKey> made = KeyOf(host, index);
  if (!made) {
    NotePending(JudgeNoSource(sources_.why()));
    co_return nullptr;
  }
  ConnectionKey key = *std::move(made);
  const Source& source = *SourceFor(key.endpoint);
  std::string remote = RemoteText(key.host, key.endpoint);
  net::DialOptions options;
  options.limit = DialLimit(host, index);
  options.source = key.source;
  options.proxy = source.proxy;
  options.named_by_operator = host.named_by_operator;
  if (absl::StartsWith(key.host, kUnixHost)) options.unix_path = key.host.substr(kUnixHost.size());
  budget_.CountTry();
  DeadHosts& dead = env_.pool.dead_hosts();
  if (const std::optional<absl::Status> known = dead.Ask(key.endpoint); known.has_value()) {
    NoteNoConnection(*known, remote);
    co_return nullptr;
  }
  const absl::Time start = env_.clock.Now();
  auto stream = co_await env_.network->dialer->Dial(key.endpoint, options);
  const absl::Duration took = env_.clock.Now() - start;
  budget_.Spend(took);
  if (!stream.ok()) {
    // What we lack, or our proxy, says nothing about the host.
    if (!absl::IsResourceExhausted(stream.status())) dead.Failed(key.endpoint, stream.status(), took);
    NoteNoConnection(stream.status(), remote);
    co_return nullptr;
  }
  dead.Answered(key.endpoint);
  ++sessions_;
  auto connection = std::make_unique<Connection>(std::move(key), *std::move(stream),
                                                 source.helo.empty() ? env_.options.helo : source.helo,
                                                 env_.options.timeouts, env_.network->tls.context);
  co_await connection->Open();
  NoteTlsSession(*connection, /*proxied=*/source.proxy != nullptr);
  bool ready = NoteOpened(*connection);
  if (!ready && NoteBrokenTls(*connection, host)) co_return co_await Dial(host, index);
  if (ready && login_ != nullptr) ready = co_await LoggedIn(*connection);
  if (!ready) connection.reset();
  co_return connection;
}

// True: the policy lets the mail go to this host in clear text, and now is the time.
bool Attempt::NoteBrokenTls(const Connection& connection, const PlannedHost& host) {
  const TlsDemand& demand = connection.key().tls;
  if (!connection.tls_failure() || demand.level != TlsLevel::kOpportunistic) return false;
  env_.pool.broken_tls().Failed(host.name);
  return DemandOf(host).level == TlsLevel::kNone && sessions_ < kMaxSessions;
}

// Opportunistic TLS gives way to clear text where the host's handshakes fail, and this message or another one has
// waited long enough for them to work: a host that was upset for a moment is not talked to in the clear, and one that
// is broken for good gets its mail.
TlsDemand Attempt::DemandOf(const PlannedHost& host) const {
  TlsDemand demand = policy_.demand;
  if (demand.level != TlsLevel::kOpportunistic) return demand;
  const TlsSettings& settings = env_.network->tls;
  const auto broken = env_.pool.broken_tls().Since(host.name, settings.broken_memory);
  if (!broken) return demand;
  const std::int64_t first_attempt = lease_.delivery.first_attempt_micros();
  absl::Time waiting_since = *broken;
  if (first_attempt != 0) waiting_since = std::min(waiting_since, absl::FromUnixMicros(first_attempt));
  if (env_.clock.Now() - waiting_since >= settings.clear_text_after) demand.level = TlsLevel::kNone;
  return demand;
}

Outcome Attempt::WithTls(Outcome outcome, const Connection& connection) const {
  if (const auto& info = connection.tls()) {
    outcome.tls = outcome::TlsUsed{info->version, info->cipher, info->proof.verified, info->proof.why, policy_.Text()};
  }
  return outcome;
}

void Attempt::NoteNoConnection(const absl::Status& why, const std::string& remote) {
  if (absl::IsCancelled(why)) {
    stopping_ = true;
    return;
  }
  Count().failed.Increment();
  remote_ = remote;
  if (absl::IsFailedPrecondition(why)) {
    met_ourselves_ = true;
    plan_.MetOurselves();
    return;
  }
  NotePending(JudgeConnect(why, remote));
}

bool Attempt::NoteOpened(Connection& connection) {
  smtp::ClientSession& session = connection.session();
  if (session.reusable()) {
    Count().opened.Increment();
    if (connection.tls()) env_.pool.broken_tls().Worked(connection.key().host);
    return true;
  }
  if (connection.cancelled()) {
    stopping_ = true;
    return false;
  }
  Count().refused.Increment();
  remote_ = connection.remote();
  if (connection.tls_failure()) {
    NotePending(JudgeTls(*connection.tls_failure(), policy_.Text(), remote_));
  } else {
    const Outcome outcome = session.refusal() ? JudgeRefusal(session.step(), *session.refusal(), remote_)
                                              : JudgeBroken(session.broke(), remote_);
    NotePending(WithTls(outcome, connection));
  }
  return false;
}

// Another address of the host deserves its turn within the time of the attempt.
absl::Duration Attempt::DialLimit(const PlannedHost& host, std::size_t index) const {
  const absl::Duration limit = std::min(env_.options.timeouts.connect, budget_.left());
  if (index + 1 == host.endpoints.size()) return limit;
  const bool other_family = host.endpoints[index].address.is_v6() &&
                            std::any_of(host.endpoints.begin() + static_cast<std::ptrdiff_t>(index),
                                        host.endpoints.end(), [](const auto& e) { return e.address.is_v4(); });
  return std::min(limit, other_family ? kQuickTry : std::max(kShortestTry, budget_.left() / 2));
}

}  // namespace hikyaku::delivery
