// What operations write about the end of deliveries. Declared in engine.h.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/utf8.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// How long mail that was never tried outlives its expiry.
constexpr std::int64_t kFirstTryGrace = std::int64_t{24} * 3600 * 1'000'000;

// Why it ended, with the last error kept: "4.4.7, delivery time expired" (RFC 3463 §3.5).
v1::Outcome ExpiredOutcome(const storage::v1::Delivery& delivery, const v1::Outcome& last, std::int64_t now_micros) {
  v1::Outcome outcome = last;
  outcome.set_kind(v1::Outcome::KIND_TRANSIENT);
  if (outcome.scope() == v1::Outcome::SCOPE_UNSPECIFIED) outcome.set_scope(v1::Outcome::SCOPE_MESSAGE);
  outcome.set_enhanced_code("4.4.7");
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

void Count(storage::v1::Counters& counters, v1::Event::Type type, int recipients) {
  if (type == v1::Event::TYPE_EXPIRED) counters.set_expired(counters.expired() + recipients);
  if (type == v1::Event::TYPE_CANCELLED) counters.set_cancelled(counters.cancelled() + recipients);
}

// One event for the recipients whose last outcome says the same.
void PutEndEvents(Group& group, const storage::v1::Delivery& delivery, v1::Event::Type type, std::int64_t now_micros) {
  std::vector<v1::Event> events;
  for (const storage::v1::Recipient& recipient : delivery.recipients()) {
    v1::Outcome outcome = type == v1::Event::TYPE_EXPIRED
                              ? ExpiredOutcome(delivery, recipient.last_outcome(), now_micros)
                              : CancelledOutcome(now_micros);
    const auto same = std::find_if(events.begin(), events.end(), [&](const v1::Event& event) {
      return event.outcome().text() == outcome.text() && event.outcome().smtp_code() == outcome.smtp_code();
    });
    if (same != events.end()) {
      same->add_recipients(recipient.address());
      continue;
    }
    events.push_back(MakeEvent(type, delivery.envelope(), delivery.domain(), now_micros));
    events.back().add_recipients(recipient.address());
    events.back().set_attempts(delivery.attempts());
    *events.back().mutable_outcome() = std::move(outcome);
  }
  for (const v1::Event& event : events) PutEvent(group, delivery.envelope().message_id(), event.SerializeAsString());
}

}  // namespace

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

void EndDelivery(Group& group, Ending& ending, v1::Event::Type type, std::int64_t now_micros) {
  const absl::string_view key = ending.delivery_key;
  const auto record = group.store.Get(Family::kDelivery, key);
  if (absl::IsUnavailable(record.status())) {  // It passes: the mail must not be forgotten meanwhile.
    ending.kept = true;
    return;
  }
  if (ending.parked) {
    group.batch.Delete(Family::kParked, keys::Parked(keys::DeliveryDomain(key), PriorityClass(ending.entry.priority()),
                                                     ending.entry.tenant(), ending.due, keys::DeliveryId(key)));
  }
  group.batch.Delete(Family::kDue, keys::Due(ending.parked ? EndMicros(ending.entry) : ending.due, key));

  storage::v1::Delivery delivery;
  if (!record.ok() || !record->has_value() || !delivery.ParseFromString(**record)) {
    // Its entry goes, so that it is not met again at each poll; the checker tells what is left of it.
    log::Error("ending_unreadable", {{"domain", keys::DeliveryDomain(key)}, {"error", record.status()}});
    return;
  }
  ending.recipients = delivery.recipients_size();
  PutEndEvents(group, delivery, type, now_micros);
  Count(group.counters, type, ending.recipients);
  EndRecord(group, key, delivery);
}

void FinishEndings(Engine& engine, std::vector<Ending>& endings, v1::Event::Type type, bool committed) {
  metrics::Counter& counter = type == v1::Event::TYPE_EXPIRED ? engine.metrics.expired : engine.metrics.cancelled;
  absl::MutexLock lock(&engine.mu);
  for (Ending& ending : endings) {
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
