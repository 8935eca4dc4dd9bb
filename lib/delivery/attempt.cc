// The attempt in the order of its life: plan, hosts, addresses, connections, transactions, outcomes.
//
// A recipient is settled when nothing more is to be done for it now. Others carry the last reason why they are not, and
// go on to the next address; what they carry at the end is their outcome.
#include "lib/delivery/attempt.h"

#include <algorithm>
#include <utility>

#include "lib/base/random.h"
#include "lib/delivery/local_delivery.h"
#include "lib/delivery/post.h"
#include "lib/dsn/options.h"
#include "lib/metrics/metrics.h"
#include "lib/mime/downgrade.h"
#include "lib/mime/text.h"

namespace hikyaku::delivery {
namespace {

using outcome::Kind;
using outcome::Outcome;
using outcome::Scope;

constexpr int kServiceClosing = 421;

struct Metrics {
  metrics::Counter& reused = metrics::DeclareCounter("hikyaku_delivery_connections_reused_total",
                                                     "Times that a kept connection took another message.");
  metrics::Counter& stale =
      metrics::DeclareCounter("hikyaku_delivery_connections_stale_total",
                              "Kept connections that the peer had closed, or spoken on, when they were needed.");
};

Metrics& Count() {
  static Metrics* const metrics = new Metrics;
  return *metrics;
}

NextHop RouteOf(const storage::v1::Delivery& delivery, const RouteTable& routes) {
  const storage::v1::Envelope& envelope = delivery.envelope();
  return routes.Route({delivery.domain(), envelope.sender(), envelope.tenant(), envelope.stream()});
}

const SourcePool& PoolOf(const Network& network, const NextHop& hop) {
  static const SourcePool* const missing = new SourcePool{"missing", {}};
  const SourcePool* pool = network.sources->Find(hop.rule ? hop.rule->sources : "");
  return pool != nullptr ? *pool : *missing;
}

std::uint32_t Seed(const SourcePool& pool) { return pool.sources.size() > 1 ? RandomBelow(1U << 31) : 0; }

PlanEnv ForPlan(const AttemptEnv& env, Budget& budget) {
  return {env.resolver, env.network->guard, env.options.own, env.clock, budget};
}

HostTlsEnv ForTls(const AttemptEnv& env, Budget& budget) {
  return {env.network->tls, env.resolver, env.clock, budget, {env.sts, env.shard, env.network->dialer}};
}

// Mail that waives TLS, as reports on it do, says nothing of a policy; a next hop of the operator's has none to report
// on.
bool LogsTls(const Network& network, const NextHop& hop, TlsWish wish) {
  return network.tls_reports && wish != TlsWish::kWaived && hop.kind == NextHop::Kind::kSmtp && hop.mx_lookup &&
         !hop.routed;
}

}  // namespace

Attempt::Attempt(AttemptEnv env, const queue::Lease& lease, LeaseGuard& guard)
    : env_(std::move(env)),
      lease_(lease),
      guard_(guard),
      hop_(RouteOf(lease.delivery, env_.network->routes)),
      sources_(PoolOf(*env_.network, hop_), *env_.network->ledger, Seed(PoolOf(*env_.network, hop_))),
      login_(hop_.rule ? hop_.rule->login.get() : nullptr),
      plan_(ForPlan(env_, budget_), lease.delivery.domain(), hop_),
      tls_(ForTls(env_, budget_), lease.delivery.domain(), hop_),
      wish_(WishOf(lease.delivery.envelope(), hop_)),
      tls_log_(LogsTls(*env_.network, hop_, wish_), lease.delivery.domain(), env_.resolver, env_.clock, budget_),
      recipients_(static_cast<std::size_t>(lease.delivery.recipients_size())),
      signing_(env_.options.keyring, *lease.body) {}

awaitable<Attempt::End> Attempt::Run() {
  if (!lease_.delivery.envelope().post_type().empty()) co_return co_await RunPost();
  if (!hop_.remote()) co_return co_await RunLocal();
  if (const absl::Status ready = signing_.Ready(); !ready.ok()) co_return Finish(JudgeUnsigned(ready.message()));
  if (const std::optional<Outcome> trouble = PrepareLogin()) co_return Finish(*trouble);
  if (wish_ != TlsWish::kWaived) {
    const absl::Status prepared = co_await tls_.Prepare();
    if (!prepared.ok()) co_return Stopped(End::kGiveBack);
  }
  while (sessions_ < kMaxSessions) {
    auto host = co_await plan_.Next();
    if (!host.ok()) co_return Stopped(End::kGiveBack);
    if (!host->has_value()) {
      SettleRequireTls();
      break;
    }
    const Move move = co_await TryHost(**std::move(host));
    if (move == Move::kDone) break;
    if (move == Move::kStopping) co_return Stopped(End::kGiveBack);
    lease_lost_ = move == Move::kLost;
    if (lease_lost_) co_return Stopped(End::kLost);
  }
  co_return Finish(plan_.trouble() ? *plan_.trouble() : JudgeUntried(lease_.delivery.domain()));
}

awaitable<Attempt::End> Attempt::RunLocal() {
  if (!guard_.Begin()) {
    lease_lost_ = true;
    co_return End::kLost;
  }
  const Outcome outcome = co_await DeliverLocally(hop_, lease_, env_.network->maildir.get());
  NotePending(outcome);
  co_return Finish(outcome);
}

awaitable<Attempt::End> Attempt::RunPost() {
  if (!guard_.Begin()) {
    lease_lost_ = true;
    co_return End::kLost;
  }
  https::Web web{env_.resolver, env_.network->dialer, env_.network->tls.context};
  const std::optional<Outcome> outcome = co_await Post(std::move(web), lease_);
  if (!outcome) co_return End::kGiveBack;
  remote_ = outcome->remote_host;
  co_return Finish(*outcome);
}

awaitable<Attempt::Move> Attempt::TryHost(PlannedHost host) {
  const absl::Status chosen = co_await ChoosePolicy(host);
  if (!chosen.ok()) co_return Move::kStopping;
  if (policy_.trouble) {
    const absl::Status asked = co_await tls_log_.LookUp();
    if (!asked.ok()) co_return Move::kStopping;
    tls_log_.NotePassedOver(host.name, policy_);
    other_failed_ = true;
    NotePending(*policy_.trouble);
    co_return Move::kNext;
  }
  lacks_requiretls_ = false;
  const Move move = co_await TryAddresses(host);
  (lacks_requiretls_ ? any_lacks_requiretls_ : other_failed_) = true;
  co_return move;
}

// A kept connection to any address of the host is better than a new one to the first.
awaitable<Attempt::Move> Attempt::TryAddresses(const PlannedHost& host) {
  std::vector<bool> tried(host.endpoints.size());
  for (std::size_t i = 0; i < host.endpoints.size(); ++i) {
    const Move move = co_await TryKept(host, i);
    if (move == Move::kGoOn) continue;
    if (move != Move::kNext) co_return move;
    tried[i] = true;
  }
  for (std::size_t i = 0; i < host.endpoints.size(); ++i) {
    if (tried[i]) continue;
    if (sessions_ >= kMaxSessions || budget_.exhausted() || met_ourselves_) break;
    const Move move = co_await TryFresh(host, i);
    if (move != Move::kNext) co_return move;
  }
  co_return Move::kNext;
}

// kGoOn: there is none.
awaitable<Attempt::Move> Attempt::TryKept(const PlannedHost& host, std::size_t index) {
  const std::optional<ConnectionKey> key = KeyOf(host, index);
  std::unique_ptr<Connection> connection = key ? Kept(*key) : nullptr;
  if (connection == nullptr) co_return Move::kGoOn;
  Count().reused.Increment();
  const Move move = co_await Send(std::move(connection));
  if (move != Move::kAgain) co_return move;
  Count().stale.Increment();
  co_return co_await TryFresh(host, index);
}

// However short its idle time was: a reply too many would be taken for the answer to the next command, and shift all
// verdicts by one.
std::unique_ptr<Connection> Attempt::Kept(const ConnectionKey& key) {
  while (std::unique_ptr<Connection> connection = env_.pool.Take(key)) {
    if (connection->StillOpen()) return connection;
    Count().stale.Increment();
  }
  return nullptr;
}

// Again as often as the peer ends the session after a transaction: each one settles some recipients.
awaitable<Attempt::Move> Attempt::TryFresh(const PlannedHost& host, std::size_t index) {
  while (sessions_ < kMaxSessions && !budget_.exhausted()) {
    if (!guard_.alive()) co_return Move::kLost;
    const absl::Status asked = co_await tls_log_.LookUp();
    if (!asked.ok()) co_return Move::kStopping;
    std::unique_ptr<Connection> connection = co_await Dial(host, index);
    if (stopping_) co_return Move::kStopping;
    if (connection == nullptr) co_return Move::kNext;
    const Move move = co_await Send(std::move(connection));
    if (move != Move::kAgain) co_return move;
  }
  co_return Move::kNext;
}

// All that is pending, in transactions of bounded size, over one connection.
awaitable<Attempt::Move> Attempt::Send(std::unique_ptr<Connection> connection) {
  remote_ = connection->remote();
  if (LacksRequireTls(*connection)) {
    env_.pool.Put(std::move(connection));
    co_return Move::kNext;
  }
  if (SettleUnfit(*connection)) {
    env_.pool.Put(std::move(connection));
    co_return Move::kDone;
  }
  const Chunk all = Pending();
  Move move = co_await Sign(connection->session().extensions());
  const std::size_t most = std::max<std::size_t>(1, env_.options.recipients_per_transaction);
  for (std::size_t at = 0; at < all.size() && move == Move::kGoOn; at += most) {
    const std::size_t end = std::min(all.size(), at + most);
    Chunk chunk(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(end));
    move = co_await SendByAndBy(*connection, std::move(chunk));
  }
  env_.pool.Put(std::move(connection));
  if (move == Move::kGoOn) move = Pending().empty() ? Move::kDone : Move::kNext;
  co_return move;
}

// kGoOn: what the host is to get is signed, or needs no signature.
awaitable<Attempt::Move> Attempt::Sign(const smtp::Extensions& extensions) {
  const absl::Status made = co_await signing_.Sign(BodyFor(extensions), env_.clock.Now());
  if (made.ok()) co_return Move::kGoOn;
  if (absl::IsCancelled(made)) co_return Move::kStopping;
  Settle(Pending(), JudgeUnsigned(made.message()));
  co_return Move::kDone;
}

// A host that takes only so many recipients at once (RFC 5321 §4.5.3.1.10) gets the others in further transactions, as
// long as each of them brings something.
awaitable<Attempt::Move> Attempt::SendByAndBy(Connection& connection, Chunk chunk) {
  for (;;) {
    const Move move = co_await SendChunk(connection, chunk);
    Chunk too_many;
    for (const std::size_t i : chunk) {
      const Recipient& recipient = recipients_[i];
      const bool left = !recipient.settled && recipient.outcome;
      if (left && recipient.outcome->cls == outcome::BounceClass::kTooManyRecipients) too_many.push_back(i);
    }
    if (move != Move::kGoOn || too_many.empty() || too_many.size() == chunk.size()) co_return move;
    chunk = std::move(too_many);
  }
}

awaitable<Attempt::Move> Attempt::SendChunk(Connection& connection, Chunk chunk) {
  if (!begun_ && !guard_.Begin()) co_return Move::kLost;
  begun_ = true;
  sources_.Spend(connection.key().endpoint.address.is_v4());
  const bool reused = connection.messages > 0;
  const smtp::Outgoing mail = MakeOutgoing(chunk, connection);
  const bool held = co_await connection.Transact(mail, guard_);
  if (!held) co_return Move::kLost;
  co_return Judge(connection, chunk, reused);
}

Attempt::Move Attempt::Judge(Connection& connection, const Chunk& chunk, bool reused) {
  const smtp::TransactionResult result = connection.session().TakeResult();
  const bool usable = connection.session().reusable();
  if (usable && !result.broke.empty()) {
    Settle(chunk, JudgeUnsendable(result.broke));
    return Move::kGoOn;
  }
  // The peer ended a kept session while nobody spoke: that is no failure of this mail.
  const bool closed = connection.peer_closed() && !result.mail;
  const bool closing = result.closing && (!result.mail || result.mail->code == kServiceClosing);
  if (reused && (closed || closing)) return Move::kAgain;

  std::vector<Judgement> judgements = JudgeTransaction(result, connection.remote());
  bool host_failed = false;
  bool any_left = false;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    Outcome& outcome = judgements[i].outcome;
    outcome = WithTls(std::move(outcome), connection);
    outcome.reports_passed_on = outcome.kind == Kind::kDelivered && connection.session().extensions().dsn &&
                                lease_.delivery.recipients(static_cast<int>(chunk[i])).notify() != 0;
    // RFC 2033 §1: LMTP serves delivery to mailboxes. A host that offers DSN all the same speaks for itself.
    outcome.final_delivery =
        outcome.kind == Kind::kDelivered && hop_.kind == NextHop::Kind::kLmtp && !connection.session().extensions().dsn;
    any_left |= judgements[i].try_next;
    host_failed |= outcome.ambiguous || (judgements[i].try_next && outcome.scope != Scope::kRecipient);
    if (!judgements[i].try_next) {
      Settle({chunk[i]}, outcome);
    } else if (!connection.cancelled()) {
      Note(chunk[i], outcome);
    }
  }
  if (connection.cancelled()) return Move::kStopping;
  if (usable && !host_failed) return Move::kGoOn;
  if (Pending().empty()) return Move::kDone;
  return host_failed || any_left ? Move::kNext : Move::kAgain;
}

// Settles whom the host cannot take this mail for, by what it offers; true when that is everybody.
bool Attempt::SettleUnfit(Connection& connection) {
  const Chunk pending = Pending();
  if (const std::optional<Outcome> unfit = Unfit(connection)) {
    Settle(pending, WithTls(*unfit, connection));
  } else if (!connection.session().extensions().smtputf8) {
    for (const std::size_t i : pending) {
      if (NeedsSmtpUtf8(i)) Settle({i}, WithTls(JudgeNoSmtpUtf8(connection.remote()), connection));
    }
  }
  return Pending().empty();
}

// Of the mail as a whole.
std::optional<Outcome> Attempt::Unfit(Connection& connection) {
  const smtp::Extensions& offered = connection.session().extensions();
  const storage::v1::Envelope& envelope = lease_.delivery.envelope();
  if (envelope.smtputf8() && !offered.smtputf8) return JudgeNoSmtpUtf8(connection.remote());
  if (envelope.eight_bit() && !offered.eight_bit_mime && !downgraded_) {
    auto converted = mime::Downgrade8Bit(*lease_.body);
    if (!converted.ok()) return JudgeNo8Bit(converted.status().message(), connection.remote());
    downgraded_ = *std::move(converted);
  }
  const std::size_t size = BodyFor(offered).size();
  if (offered.size > 0 && size > offered.size) return JudgeTooLarge(size, offered.size, connection.remote());
  return std::nullopt;
}

bool Attempt::NeedsSmtpUtf8(std::size_t recipient) const {
  return !mime::IsAscii(lease_.delivery.recipients(static_cast<int>(recipient)).address());
}

const std::string& Attempt::BodyFor(const smtp::Extensions& extensions) const {
  return downgraded_ && !extensions.eight_bit_mime ? *downgraded_ : *lease_.body;
}

smtp::Outgoing Attempt::MakeOutgoing(const Chunk& chunk, Connection& connection) const {
  const storage::v1::Envelope& envelope = lease_.delivery.envelope();
  smtp::Outgoing mail;
  mail.sender = envelope.sender();
  mail.recipients.reserve(chunk.size());
  mail.needs_smtputf8 = envelope.smtputf8();
  mail.require_tls = SaysRequireTls(connection);
  mail.mail_dsn = dsn::MailParameters(static_cast<dsn::Returned>(envelope.returned_content()), envelope.envelope_id());
  for (const std::size_t i : chunk) {
    const storage::v1::Recipient& recipient = lease_.delivery.recipients(static_cast<int>(i));
    mail.recipients.push_back(recipient.address());
    mail.rcpt_dsn.push_back(dsn::RcptParameters(recipient.notify(), recipient.original_recipient()));
    mail.needs_smtputf8 = mail.needs_smtputf8 || NeedsSmtpUtf8(i);
  }
  const std::string& body = BodyFor(connection.session().extensions());
  mail.head = signing_.HeadOf(body);
  mail.body = body;
  mail.needs_8bit = envelope.eight_bit() && &body == lease_.body.get();
  return mail;
}

Attempt::Chunk Attempt::Pending() const {
  Chunk pending;
  for (std::size_t i = 0; i < recipients_.size(); ++i) {
    if (!recipients_[i].settled) pending.push_back(i);
  }
  return pending;
}

void Attempt::Settle(const Chunk& chunk, const Outcome& outcome) {
  for (const std::size_t i : chunk) {
    recipients_[i].outcome = outcome;
    recipients_[i].settled = true;
  }
}

// What a peer said tells more than the silence of the next one.
void Attempt::Note(std::size_t recipient, const Outcome& outcome) {
  std::optional<Outcome>& noted = recipients_[recipient].outcome;
  if (!noted || noted->smtp_code == 0 || outcome.smtp_code != 0) noted = outcome;
}

void Attempt::NotePending(const Outcome& outcome) {
  for (const std::size_t i : Pending()) Note(i, outcome);
}

Attempt::End Attempt::Finish(const Outcome& otherwise) {
  final_.reserve(recipients_.size());
  for (Recipient& recipient : recipients_) {
    final_.push_back(recipient.outcome ? *std::move(recipient.outcome) : otherwise);
  }
  return End::kJudged;
}

// Whoever has the mail already must be told of, or gets it again.
Attempt::End Attempt::Stopped(End nothing_judged) {
  const bool any_settled =
      std::any_of(recipients_.begin(), recipients_.end(), [](const Recipient& r) { return r.settled; });
  return any_settled ? Finish(JudgeStopped()) : nothing_judged;
}

}  // namespace hikyaku::delivery
