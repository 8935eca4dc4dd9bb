#include "lib/queue/verdict.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"
#include "lib/queue/tls_tally.h"

namespace hikyaku::queue {
namespace {

// What one verdict adds to the counters, in recipients.
struct Tally {
  int delivered = 0, bounced = 0, deferred = 0, expired = 0, ambiguous = 0;
};

// A worker that left one out broke the contract; the mail must not suffer for it.
v1::Outcome NoOutcome() {
  v1::Outcome outcome;
  outcome.set_kind(v1::Outcome::KIND_TRANSIENT);
  outcome.set_scope(v1::Outcome::SCOPE_SESSION);
  outcome.set_enhanced_code("4.3.0");
  outcome.set_text("the worker gave no outcome");
  outcome.set_bounce_class("TransientFailure");
  return outcome;
}

bool Same(const v1::Outcome& a, const v1::Outcome& b) {
  return a.kind() == b.kind() && a.smtp_code() == b.smtp_code() && a.text() == b.text() &&
         a.enhanced_code() == b.enhanced_code() && a.remote_host() == b.remote_host() && a.ambiguous() == b.ambiguous();
}

// Whether it says anything good about the domain's hosts, however bad for the mail.
bool Reached(const v1::Outcome& outcome) {
  return outcome.kind() != v1::Outcome::KIND_TRANSIENT || outcome.scope() == v1::Outcome::SCOPE_RECIPIENT ||
         outcome.scope() == v1::Outcome::SCOPE_MESSAGE;
}

class VerdictOperation : public Operation {
 public:
  VerdictOperation(Engine& engine, ItemPtr item, internal::v1::Verdict verdict);

  bool must_happen() const override { return true; }
  std::size_t bytes() const override { return 512 + reporter_.bytes() + tls_tally_.bytes(); }
  void Apply(Group& group) override;
  void Finish(const absl::Status& status) override;

 private:
  std::int64_t NextDue(const internal::v1::Verdict& verdict) const;
  void Judge(const storage::v1::Recipient& recipient, v1::Outcome outcome);
  void AddEvent(v1::Event::Type type, const std::string& address, const v1::Outcome& outcome,
                const std::string& report);
  void MakeReports();
  void CountMetrics() const;
  // A purge was on disk before this verdict. Read with the mutex, or on the committer's thread, which alone changes
  // what is being reported.
  bool Over() const { return item_->state == ItemState::kGone; }

  Engine& engine_;
  const ItemPtr item_;
  const std::int64_t now_;
  storage::v1::Delivery rest_;  // The record with the recipients that are left.
  std::int64_t next_due_ = 0;
  std::vector<v1::Event> events_;
  std::vector<std::string> event_bytes_;
  std::string record_;  // Empty: the delivery is done.
  std::string entry_;
  Tally tally_;
  Reporter reporter_;
  TlsTally tls_tally_;
  bool reached_ = false;  // Somebody spoke to us.
};

VerdictOperation::VerdictOperation(Engine& engine, ItemPtr item, internal::v1::Verdict verdict)
    : engine_(engine),
      item_(std::move(item)),
      now_(engine.NowMicros()),
      reporter_(engine, item_->delivery->envelope(), item_->delivery->domain(), item_->delivery->attempts() + 1, now_),
      tls_tally_(item_->delivery->domain(), now_, verdict.tls_sessions()) {
  const storage::v1::Delivery& before = *item_->delivery;
  rest_.set_attempts(before.attempts() + 1);
  next_due_ = NextDue(verdict);
  for (int i = 0; i < before.recipients_size(); ++i) {
    Judge(before.recipients(i), i < verdict.outcomes_size() ? std::move(*verdict.mutable_outcomes(i)) : NoOutcome());
  }
  MakeReports();
  for (const v1::Event& event : events_) event_bytes_.push_back(event.SerializeAsString());
  events_ = {};  // Freed here, not on the committer's thread.
  if (rest_.recipients().empty()) return;

  *rest_.mutable_envelope() = before.envelope();
  rest_.set_domain(before.domain());
  rest_.set_due_micros(next_due_);
  rest_.set_ambiguous(before.ambiguous() || tally_.ambiguous > 0);
  rest_.set_first_attempt_micros(before.first_attempt_micros() != 0 ? before.first_attempt_micros() : now_);
  rest_.set_body_part(before.body_part());
  rest_.set_destinations(before.destinations());
  rest_.set_deliver_by(before.deliver_by());
  record_ = rest_.SerializeAsString();
  storage::v1::DueEntry entry = EntryOf(*item_);
  entry.set_attempted(true);
  entry_ = entry.SerializeAsString();
}

std::int64_t VerdictOperation::NextDue(const internal::v1::Verdict& verdict) const {
  const absl::Duration delay = RetryDelay(engine_.options.retry, rest_.attempts(), RandomFraction());
  const std::int64_t next = std::max(now_ + absl::ToInt64Microseconds(delay), verdict.not_before_micros());
  return std::min(next, item_->expire);
}

// Before the commit, because the body goes with its last delivery. The worker has it in memory, as a rule.
void VerdictOperation::MakeReports() {
  if (!reporter_.wanted()) return;
  std::shared_ptr<const std::string> body = item_->body;
  if (body == nullptr) {
    auto read = engine_.BodyOf(*item_, item_->delivery->body_part());
    if (read.ok()) body = *std::move(read);
  }
  reporter_.Make(body.get());
}

// What the outcome means for one recipient. The kind was decided in lib/delivery; here it meets the lifetime.
void VerdictOperation::Judge(const storage::v1::Recipient& recipient, v1::Outcome outcome) {
  if (!outcome.has_time()) SetTime(*outcome.mutable_time(), now_);
  if (outcome.ambiguous()) ++tally_.ambiguous;
  reached_ |= Reached(outcome);
  switch (outcome.kind()) {
    case v1::Outcome::KIND_DELIVERED:
      ++tally_.delivered;
      return AddEvent(v1::Event::TYPE_DELIVERED, recipient.address(), outcome,
                      reporter_.NoteDelivered(recipient, outcome));
    case v1::Outcome::KIND_PERMANENT:
      ++tally_.bounced;
      return AddEvent(v1::Event::TYPE_BOUNCED, recipient.address(), outcome,
                      reporter_.NoteFailed(recipient, outcome, absl::FromUnixMicros(now_)));
    default: break;
  }
  if (now_ >= item_->expire) {
    ++tally_.expired;
    outcome.set_enhanced_code(ExpiredCode(outcome));
    outcome.set_bounce_class("MessageExpired");
    outcome.set_text(
        absl::StrCat("expired after ", rest_.attempts(), " attempts; the last error was: ", CutText(outcome.text())));
    return AddEvent(v1::Event::TYPE_EXPIRED, recipient.address(), outcome,
                    reporter_.NoteFailed(recipient, outcome, absl::FromUnixMicros(now_)));
  }
  ++tally_.deferred;
  const std::string report = reporter_.NoteDelayed(recipient, outcome);
  AddEvent(v1::Event::TYPE_DEFERRED, recipient.address(), outcome, report);
  storage::v1::Recipient& left = *rest_.add_recipients();
  left.set_address(recipient.address());
  left.set_notify(recipient.notify());
  left.set_original_recipient(recipient.original_recipient());
  left.set_delay_reported(recipient.delay_reported() || !report.empty());
  left.set_state(v1::RECIPIENT_STATE_DEFERRED);
  *left.mutable_last_outcome() = std::move(outcome);
}

// Recipients with the same fate share an event.
void VerdictOperation::AddEvent(v1::Event::Type type, const std::string& address, const v1::Outcome& outcome,
                                const std::string& report) {
  for (v1::Event& event : events_) {
    const bool same = event.type() == type && Same(event.outcome(), outcome) && event.report_id() == report;
    if (same) return event.add_recipients(address);
  }
  v1::Event event = MakeEvent(type, item_->delivery->envelope(), item_->delivery->domain(), now_);
  event.add_recipients(address);
  event.set_attempts(rest_.attempts());
  *event.mutable_outcome() = outcome;
  event.set_report_id(report);
  if (type == v1::Event::TYPE_DEFERRED) SetTime(*event.mutable_next_attempt_time(), next_due_);
  events_.push_back(std::move(event));
}

void VerdictOperation::Apply(Group& group) {
  if (Over()) return;
  DeleteEntries(group.batch, *item_);
  const absl::string_view id = keys::DeliveryId(item_->key);
  for (const std::string& event : event_bytes_) PutEvent(group, id, event);
  storage::v1::Counters& counters = group.counters;
  counters.set_delivered(counters.delivered() + tally_.delivered);
  counters.set_bounced(counters.bounced() + tally_.bounced);
  counters.set_expired(counters.expired() + tally_.expired);
  reporter_.Put(group);
  tls_tally_.Put(group);
  if (!record_.empty()) {
    group.batch.Put(Family::kDelivery, item_->key, record_);
    group.batch.Put(Family::kDue, keys::Due(next_due_, item_->key), entry_);
    return;
  }
  EndRecord(group, item_->key, *item_->delivery);
}

void VerdictOperation::Finish(const absl::Status& status) {
  if (status.ok() && Over()) return engine_.metrics.late_verdicts.Increment();
  if (status.ok() && !record_.empty()) engine_.LowerNextDue(next_due_);
  if (status.ok()) CountMetrics();
  if (status.ok()) reporter_.Committed();
  if (status.ok()) tls_tally_.Committed(engine_.metrics);
  absl::MutexLock lock(&engine_.mu);
  if (Over()) return;
  Stream* stream = item_->stream;
  engine_.EndLease(*item_);
  if (stream != nullptr && status.ok()) {
    engine_.leases.Notify(*stream, {.kind = Notice::kRecorded, .lease = item_->lease});
  }
  Domain& domain = *item_->domain;
  engine_.Erase(item_);
  if (!status.ok()) return;
  if (record_.empty()) {
    Schedule::Closed(domain);
    --engine_.open;
  }
  if (reached_) {
    engine_.schedule.Succeeded(domain);
  } else {
    engine_.schedule.Failed(domain, engine_.lease_micros);
  }
  engine_.schedule.Forget(domain);
}

void VerdictOperation::CountMetrics() const {
  Metrics& metrics = engine_.metrics;
  if (tally_.delivered > 0) {
    metrics.delivered.Increment(tally_.delivered);
    metrics.end_to_end_seconds.Observe((engine_.NowMicros() - item_->accepted) / 1e6);
  }
  if (tally_.bounced > 0) metrics.bounced.Increment(tally_.bounced);
  if (tally_.deferred > 0) metrics.deferred.Increment(tally_.deferred);
  if (tally_.expired > 0) metrics.expired.Increment(tally_.expired);
  if (tally_.ambiguous > 0) metrics.ambiguous.Increment(tally_.ambiguous);
}

}  // namespace

std::unique_ptr<Operation> MakeVerdict(Engine& engine, ItemPtr item, internal::v1::Verdict verdict) {
  return std::make_unique<VerdictOperation>(engine, std::move(item), std::move(verdict));
}

}  // namespace hikyaku::queue
