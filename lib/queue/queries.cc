#include "lib/queue/queries.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "lib/base/message_id.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/digest.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

constexpr std::size_t kMaxEvents = 10'000;

// Of the rows of one answer: a row has up to a thousand recipients, and a client takes 4 MiB from all shards together.
constexpr std::size_t kMaxRowBytes = 1 << 20;

using State = v1::DeliveryStatus::State;

struct Live {
  State state = v1::DeliveryStatus::STATE_SCHEDULED;
  std::string waits_for;
};

// Where a delivery stands now. `due`: of its record.
Live LiveState(Engine& engine, absl::string_view key, std::int64_t due, std::int64_t now) {
  absl::MutexLock lock(&engine.mu);
  const auto it = engine.items.find(key);
  const bool in_memory = it != engine.items.end();
  if (in_memory && ((*it)->state == ItemState::kLeased || (*it)->state == ItemState::kReporting)) {
    return {v1::DeliveryStatus::STATE_LEASED, ""};
  }
  if (!in_memory && due > now) return {};
  const Domain* domain = engine.schedule.Find(keys::DeliveryDomain(key));
  if (domain == nullptr) return {v1::DeliveryStatus::STATE_READY, "worker"};
  if (domain->suspended) return {v1::DeliveryStatus::STATE_READY, "suspended"};
  if (domain->paused) return {v1::DeliveryStatus::STATE_READY, "domain pause"};
  const bool full = domain->active >= engine.schedule.Limit(*domain);
  return {v1::DeliveryStatus::STATE_READY, full ? "domain limit" : "worker"};
}

// Whether message `id` has this Message-ID.
bool HasHeader(View& view, absl::string_view id, absl::string_view header) {
  const auto open = view.Scan(Family::kDelivery, id, keys::PrefixEnd(id));
  storage::v1::Delivery delivery;
  if (open->Valid() && delivery.ParseFromArray(open->value().data(), static_cast<int>(open->value().size()))) {
    return delivery.envelope().message_id_header() == header;
  }
  const std::string prefix = keys::TracePrefix(id);
  const auto trace = view.Scan(Family::kTrace, prefix, keys::PrefixEnd(prefix));
  for (; trace->Valid(); trace->Next()) {
    const auto stored = view.Get(Family::kEvent, trace->key().substr(prefix.size()));
    v1::Event event;
    if (stored.ok() && stored->has_value() && event.ParseFromString(**stored))
      return event.message_id_header() == header;
  }
  return false;
}

// The newest message with this Message-ID, as 16 bytes; empty: none.
std::string FindByHeader(Engine& engine, View& view, absl::string_view header) {
  header = absl::StripAsciiWhitespace(header);
  if (absl::ConsumePrefix(&header, "<")) absl::ConsumeSuffix(&header, ">");
  // One that we made ourselves begins with the id, and is not in the index.
  if (const auto id = MessageId::FromText(header.substr(0, header.find('@')))) {
    if (HasHeader(view, id->bytes(), header)) return std::string(id->bytes());
  }
  const std::string hash = crypto::Sha256(header).substr(0, 16);
  const std::int64_t now = engine.NowMicros();
  // As long as the index is kept: see retention.cc.
  const std::int64_t kept =
      absl::ToInt64Microseconds(engine.options.event_retention) + engine.lifetime_micros + kLongestScheduleMicros;
  const std::uint32_t oldest = keys::Day(now - kept);
  for (std::uint32_t day = keys::Day(now) + 1;; --day) {
    const std::string prefix = keys::HeaderPrefix(day, hash);
    std::string found;
    const auto cursor = view.Scan(Family::kTrace, prefix, keys::PrefixEnd(prefix));
    for (; cursor->Valid(); cursor->Next()) found = std::string(cursor->key().substr(prefix.size()));
    if (!found.empty() || day <= oldest) return found;
  }
}

std::vector<v1::Event> ReadTrace(Engine& engine, View& view, absl::string_view id) {
  std::vector<v1::Event> events;
  const std::string prefix = keys::TracePrefix(id);
  const auto cursor = view.Scan(Family::kTrace, prefix, keys::PrefixEnd(prefix));
  for (; cursor->Valid() && events.size() < kMaxEvents; cursor->Next()) {
    const absl::string_view sequence = cursor->key().substr(prefix.size());
    const auto stored = view.Get(Family::kEvent, sequence);
    v1::Event event;
    if (!stored.ok() || !stored->has_value()) continue;  // Forgotten.
    if (ParseEvent(sequence, **stored, engine.options.name, event)) events.push_back(std::move(event));
  }
  return events;
}

// Puts the pieces of one message together: what events tell first, then what is open.
class MessageBuilder {
 public:
  explicit MessageBuilder(Engine& engine) : engine_(engine), now_(engine.NowMicros()) {}

  void AddEvent(const v1::Event& event) {
    response_.set_message_id(event.message_id());
    response_.set_message_id_header(event.message_id_header());
    response_.set_tenant(event.tenant());
    response_.set_sender(event.sender());
    response_.set_size_bytes(event.size_bytes());
    if (event.type() == v1::Event::TYPE_ACCEPTED && !response_.has_accept_time()) {
      *response_.mutable_accept_time() = event.time();
    }
    Part& part = parts_[event.domain()];
    part.status.set_state(v1::DeliveryStatus::STATE_FINISHED);
    part.status.set_attempts(std::max(part.status.attempts(), event.attempts()));
    for (const std::string& address : event.recipients()) {
      v1::RecipientStatus& recipient = Recipient(part, address);
      recipient.set_state(StateAfter(event.type()));
      if (event.has_outcome()) *recipient.mutable_last_outcome() = event.outcome();
    }
    *response_.add_events() = event;
  }

  void AddOpen(absl::string_view key, const storage::v1::Delivery& delivery) {
    const storage::v1::Envelope& envelope = delivery.envelope();
    if (const auto id = MessageId::FromBytes(envelope.message_id())) response_.set_message_id(id->text());
    response_.set_message_id_header(envelope.message_id_header());
    response_.set_tenant(envelope.tenant());
    response_.set_sender(envelope.sender());
    response_.set_size_bytes(envelope.size());
    SetTime(*response_.mutable_accept_time(), envelope.accept_micros());
    Part& part = parts_[delivery.domain()];
    const Live live = LiveState(engine_, key, delivery.due_micros(), now_);
    part.status.set_state(live.state);
    part.status.set_waits_for(live.waits_for);
    part.status.set_attempts(delivery.attempts());
    SetTime(*part.status.mutable_next_attempt_time(), delivery.due_micros());
    SetTime(*part.status.mutable_expire_time(), envelope.expire_micros());
    for (const storage::v1::Recipient& open : delivery.recipients()) {
      v1::RecipientStatus& recipient = Recipient(part, open.address());
      recipient.set_state(open.state());
      if (open.has_last_outcome()) *recipient.mutable_last_outcome() = open.last_outcome();
    }
  }

  v1::GetMessageResponse Take() {
    for (auto& [domain, part] : parts_) {
      part.status.set_domain(domain);
      part.status.set_shard(engine_.options.name);
      *response_.add_deliveries() = std::move(part.status);
    }
    return std::move(response_);
  }

 private:
  struct Part {
    v1::DeliveryStatus status;
    std::map<std::string, int> index;
  };

  static v1::RecipientStatus& Recipient(Part& part, const std::string& address) {
    const auto [it, made] = part.index.try_emplace(address, part.status.recipients_size());
    if (made) part.status.add_recipients()->set_address(address);
    return *part.status.mutable_recipients(it->second);
  }

  Engine& engine_;
  const std::int64_t now_;
  v1::GetMessageResponse response_;
  std::map<std::string, Part> parts_;
};

v1::DeliverySummary Summary(Engine& engine, absl::string_view key, const storage::v1::Delivery& delivery,
                            std::int64_t now) {
  v1::DeliverySummary summary;
  const storage::v1::Envelope& envelope = delivery.envelope();
  if (const auto id = MessageId::FromBytes(envelope.message_id())) summary.set_message_id(id->text());
  summary.set_domain(delivery.domain());
  summary.set_shard(engine.options.name);
  summary.set_sender(envelope.sender());
  for (const storage::v1::Recipient& recipient : delivery.recipients()) summary.add_recipients(recipient.address());
  const State state = LiveState(engine, key, delivery.due_micros(), now).state;
  summary.set_state(state == v1::DeliveryStatus::STATE_LEASED  ? "leased"
                    : state == v1::DeliveryStatus::STATE_READY ? "ready"
                                                               : "scheduled");
  summary.set_attempts(delivery.attempts());
  SetTime(*summary.mutable_next_attempt_time(), delivery.due_micros());
  SetTime(*summary.mutable_accept_time(), envelope.accept_micros());
  SetTime(*summary.mutable_expire_time(), envelope.expire_micros());
  summary.set_size_bytes(envelope.size());
  if (delivery.recipients_size() > 0 && delivery.recipients(0).has_last_outcome()) {
    *summary.mutable_last_outcome() = delivery.recipients(0).last_outcome();
  }
  return summary;
}

}  // namespace

absl::StatusOr<v1::GetMessageResponse> QueryMessage(Engine& engine, const v1::GetMessageRequest& request) {
  const auto view = engine.store->Snapshot();
  if (view == nullptr) return absl::UnavailableError("the store is being reopened");
  std::string id;
  if (request.key_case() == v1::GetMessageRequest::kMessageIdHeader) {
    id = FindByHeader(engine, *view, request.message_id_header());
  } else if (const auto parsed = MessageId::FromText(request.message_id())) {
    id = std::string(parsed->bytes());
  }
  if (id.empty()) return absl::NotFoundError("no such message");

  MessageBuilder builder(engine);
  const std::vector<v1::Event> events = ReadTrace(engine, *view, id);
  bool known = !events.empty();
  for (const v1::Event& event : events) builder.AddEvent(event);
  const auto cursor = view->Scan(Family::kDelivery, id, keys::PrefixEnd(id));
  for (; cursor->Valid(); cursor->Next()) {
    storage::v1::Delivery delivery;
    if (!delivery.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()))) continue;
    builder.AddOpen(cursor->key(), delivery);
    known = true;
  }
  if (!known) return absl::NotFoundError("no such message");
  return builder.Take();
}

absl::StatusOr<v1::ListDeliveriesResponse> QueryDeliveries(Engine& engine, const v1::ListDeliveriesRequest& request) {
  const std::string wanted = absl::AsciiStrToLower(request.domain());
  const int limit = RowLimit(request.limit());
  const std::int64_t now = engine.NowMicros();
  v1::ListDeliveriesResponse response;
  const auto cursor = engine.store->Scan(Family::kDue, "", "");
  if (cursor == nullptr) return absl::UnavailableError("the store is being reopened");
  std::size_t bytes = 0;
  for (int seen = 0; cursor->Valid() && seen < kMostSeen && response.deliveries_size() < limit && bytes < kMaxRowBytes;
       cursor->Next(), ++seen) {
    const auto parts = keys::ParseDue(cursor->key());
    if (!parts.has_value() || (!wanted.empty() && keys::DeliveryDomain(parts->delivery_key) != wanted)) continue;
    const auto record = engine.store->Get(Family::kDelivery, parts->delivery_key);
    storage::v1::Delivery delivery;
    if (!record.ok() || !record->has_value() || !delivery.ParseFromString(**record)) continue;
    *response.add_deliveries() = Summary(engine, parts->delivery_key, delivery, now);
    bytes += response.deliveries().rbegin()->ByteSizeLong();
  }
  return response;
}

}  // namespace hikyaku::queue
