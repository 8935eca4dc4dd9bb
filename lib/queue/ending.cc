// What operations write about the end of deliveries. Declared in engine.h.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// How long mail that was never tried outlives its expiry.
constexpr std::int64_t kFirstTryGrace = std::int64_t{24} * 3600 * 1'000'000;

constexpr std::size_t kReportBytes = 2 << 20;

// Why it ended, with the last error kept.
v1::Outcome ExpiredOutcome(const storage::v1::Delivery& delivery, const v1::Outcome& last, std::int64_t now_micros) {
  v1::Outcome outcome = last;
  outcome.set_kind(v1::Outcome::KIND_TRANSIENT);
  if (outcome.scope() == v1::Outcome::SCOPE_UNSPECIFIED) outcome.set_scope(v1::Outcome::SCOPE_MESSAGE);
  outcome.set_enhanced_code(ExpiredCode(last));
  outcome.set_bounce_class("MessageExpired");
  outcome.set_text(delivery.attempts() == 0 ? "expired before the first attempt"
                                            : absl::StrCat("expired after ", delivery.attempts(),
                                                           " attempts; the last error was: ", CutText(last.text())));
  SetTime(*outcome.mutable_time(), now_micros);
  return outcome;
}

v1::Outcome CancelledOutcome(std::int64_t now_micros) {
  v1::Outcome outcome;
  outcome.set_kind(v1::Outcome::KIND_PERMANENT);
  outcome.set_scope(v1::Outcome::SCOPE_DOMAIN);
  outcome.set_enhanced_code("5.7.0");
  outcome.set_text("cancelled by an operator");
  outcome.set_bounce_class("Cancelled");
  SetTime(*outcome.mutable_time(), now_micros);
  return outcome;
}

// InfinitePast: none was made.
absl::Time LastAttempt(const storage::v1::Recipient& recipient) {
  if (!recipient.last_outcome().has_time()) return absl::InfinitePast();
  return absl::FromUnixSeconds(recipient.last_outcome().time().seconds());
}

// Whether this commit has read and written enough for reports: a commit of thousands of them, each with a body to be
// read, would hold up all others.
bool EnoughReports(const Group& group, const storage::v1::Envelope& envelope) {
  return group.report_bytes > kReportBytes && !envelope.sender().empty() &&
         envelope.sender_reports() == storage::v1::SENDER_REPORTS_WANTED;
}

// The body goes with the last delivery, in this very commit: it is still there.
void MakeReport(Group& group, const storage::v1::Delivery& delivery, Reporter& reporter) {
  if (!reporter.wanted()) return;
  auto body = group.store.Get(Family::kBody, keys::Body(delivery.envelope().message_id(), delivery.body_part()));
  const bool read = body.ok() && body->has_value();
  reporter.Make(read ? &**body : nullptr);
  reporter.Put(group);
  group.report_bytes += (read ? (*body)->size() : 0) + reporter.bytes();
}

void Count(storage::v1::Counters& counters, v1::Event::Type type, int recipients) {
  if (type == v1::Event::TYPE_EXPIRED) counters.set_expired(counters.expired() + recipients);
  if (type == v1::Event::TYPE_CANCELLED) counters.set_cancelled(counters.cancelled() + recipients);
}

// One event for the recipients whose last outcome says the same. `reporter` hears of those that expired.
void PutEndEvents(Group& group, const storage::v1::Delivery& delivery, v1::Event::Type type, std::int64_t now_micros,
                  Reporter& reporter) {
  std::vector<v1::Event> events;
  for (const storage::v1::Recipient& recipient : delivery.recipients()) {
    const bool expired = type == v1::Event::TYPE_EXPIRED;
    v1::Outcome outcome =
        expired ? ExpiredOutcome(delivery, recipient.last_outcome(), now_micros) : CancelledOutcome(now_micros);
    const std::string report =
        expired ? reporter.NoteFailed(recipient, outcome, LastAttempt(recipient)) : std::string();
    const auto same = std::find_if(events.begin(), events.end(), [&](const v1::Event& event) {
      return event.outcome().text() == outcome.text() && event.outcome().smtp_code() == outcome.smtp_code() &&
             event.report_id() == report;
    });
    if (same != events.end()) {
      same->add_recipients(recipient.address());
      continue;
    }
    events.push_back(MakeEvent(type, delivery.envelope(), delivery.domain(), now_micros));
    events.back().add_recipients(recipient.address());
    events.back().set_attempts(delivery.attempts());
    *events.back().mutable_outcome() = std::move(outcome);
    events.back().set_report_id(report);
  }
  for (const v1::Event& event : events) PutEvent(group, delivery.envelope().message_id(), event.SerializeAsString());
}

}  // namespace

std::string ExpiredCode(const v1::Outcome& last) {
  const bool ours = last.smtp_code() == 0 && absl::StartsWith(last.enhanced_code(), "4.7.");
  return ours ? absl::StrCat("5", last.enhanced_code().substr(1)) : "4.4.7";
}

absl::string_view CutText(absl::string_view text) {
  constexpr std::size_t kMax = 900;
  return CutUtf8(text, kMax);
}

std::int64_t EndMicros(bool attempted, bool deliver_by, std::int64_t expire_micros) {
  return attempted || deliver_by ? expire_micros : expire_micros + kFirstTryGrace;
}

storage::v1::DueEntry EntryOf(const Item& item) {
  storage::v1::DueEntry entry;
  entry.set_priority(item.priority);
  entry.set_tenant(item.tenant);
  entry.set_accept_micros(item.accepted);
  entry.set_expire_micros(item.expire);
  entry.set_attempted(item.attempted);
  entry.set_deliver_by(item.deliver_by);
  entry.set_size(item.size);
  return entry;
}

void DeleteEntries(Batch& batch, const Item& item) {
  if (!item.parked) return batch.Delete(Family::kDue, keys::Due(item.due, item.key));
  batch.Delete(Family::kParked, keys::Parked(keys::DeliveryDomain(item.key), item.priority_class, item.tenant, item.due,
                                             keys::DeliveryId(item.key)));
  batch.Delete(Family::kDue, keys::Due(EndMicros(item), item.key));
}

void PutParked(Batch& batch, absl::string_view delivery_key, storage::v1::DueEntry entry, std::int64_t due) {
  entry.set_parked_micros(0);
  batch.Put(Family::kParked,
            keys::Parked(keys::DeliveryDomain(delivery_key), PriorityClass(entry.priority()), entry.tenant(), due,
                         keys::DeliveryId(delivery_key)),
            entry.SerializeAsString());
  entry.set_parked_micros(std::max<std::int64_t>(due, 1));
  batch.Put(Family::kDue, keys::Due(EndMicros(entry), delivery_key), entry.SerializeAsString());
}

void EndRecord(Group& group, absl::string_view delivery_key, const storage::v1::Delivery& delivery) {
  group.batch.Delete(Family::kDelivery, delivery_key);
  const absl::string_view id = keys::DeliveryId(delivery_key);
  if (delivery.destinations() > 1) {
    group.ended.insert(std::string(delivery_key));
    const auto cursor = group.store.Scan(Family::kDelivery, id, keys::PrefixEnd(id));
    for (; cursor != nullptr && cursor->Valid(); cursor->Next()) {
      if (group.ended.contains(std::string(cursor->key()))) continue;
      storage::v1::Delivery other;
      if (!other.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()))) return;
      if (other.body_part() == delivery.body_part()) return;
    }
    if (cursor == nullptr || !cursor->status().ok()) {  // A body too many costs room; one too few is lost mail.
      return group.batch.Put(Family::kMeta, absl::StrCat(keys::kLeftBody, keys::Body(id, delivery.body_part())), "");
    }
  }
  group.batch.Delete(Family::kBody, keys::Body(id, delivery.body_part()));
}

Ending EndingOf(ItemPtr item) {
  Ending ending;
  ending.delivery_key = item->key;
  ending.entry = EntryOf(*item);
  ending.due = item->due;
  ending.parked = item->parked;
  ending.item = std::move(item);
  return ending;
}

void EndDelivery(Engine& engine, Group& group, Ending& ending, v1::Event::Type type, std::int64_t now_micros) {
  const absl::string_view key = ending.delivery_key;
  const auto record = group.store.Get(Family::kDelivery, key);
  if (absl::IsUnavailable(record.status())) {  // It passes: the mail must not be forgotten meanwhile.
    ending.kept = true;
    return;
  }
  storage::v1::Delivery delivery;
  const bool readable = record.ok() && record->has_value() && delivery.ParseFromString(**record);
  if (readable && type == v1::Event::TYPE_EXPIRED && EnoughReports(group, delivery.envelope())) {
    ending.kept = ending.later = true;
    return;
  }
  if (ending.parked) {
    group.batch.Delete(Family::kParked, keys::Parked(keys::DeliveryDomain(key), PriorityClass(ending.entry.priority()),
                                                     ending.entry.tenant(), ending.due, keys::DeliveryId(key)));
  }
  group.batch.Delete(Family::kDue, keys::Due(ending.parked ? EndMicros(ending.entry) : ending.due, key));

  if (!readable) {
    // Its entry goes, so that it is not met again at each poll; the checker tells what is left of it.
    log::Error("ending_unreadable", {{"domain", keys::DeliveryDomain(key)}, {"error", record.status()}});
    return;
  }
  ending.recipients = delivery.recipients_size();
  ending.envelope = std::make_unique<storage::v1::Envelope>(delivery.envelope());
  ending.report =
      std::make_unique<Reporter>(engine, *ending.envelope, delivery.domain(), delivery.attempts() + 1, now_micros);
  PutEndEvents(group, delivery, type, now_micros, *ending.report);
  MakeReport(group, delivery, *ending.report);
  Count(group.counters, type, ending.recipients);
  EndRecord(group, key, delivery);
}

void FinishEndings(Engine& engine, std::vector<Ending>& endings, v1::Event::Type type, bool committed) {
  for (const Ending& ending : endings) {
    if (committed && !ending.kept && ending.report != nullptr) ending.report->Committed();
  }
  metrics::Counter& counter = type == v1::Event::TYPE_EXPIRED ? engine.metrics.expired : engine.metrics.cancelled;
  absl::MutexLock lock(&engine.mu);
  for (Ending& ending : endings) {
    if (committed && ending.later) {  // What is left of a storm: at once, in a commit of its own.
      engine.LowerNextDue(ending.parked ? EndMicros(ending.entry) : ending.due);
      if (ending.item != nullptr) engine.Erase(ending.item);
      continue;
    }
    if (committed && ending.kept && type == v1::Event::TYPE_EXPIRED) {
      log::Error("ending_unreadable", {{"domain", keys::DeliveryDomain(ending.delivery_key)}, {"again", true}});
      engine.PollAgain(ending.parked ? EndMicros(ending.entry) : ending.due);
      if (ending.item != nullptr) engine.Erase(ending.item);
      continue;
    }
    if (!committed || ending.kept) {
      if (ending.item != nullptr) engine.schedule.Push(std::move(ending.item));
      continue;
    }
    counter.Increment(ending.recipients);
    Domain& domain = engine.schedule.Get(keys::DeliveryDomain(ending.delivery_key));
    if (ending.item != nullptr) engine.Erase(ending.item);
    Schedule::Closed(domain);
    --engine.open;
    engine.schedule.Forget(domain);
  }
}

}  // namespace hikyaku::queue
