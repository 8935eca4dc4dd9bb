#include "lib/queue/enqueue.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/message_id.h"
#include "lib/base/status_macros.h"
#include "lib/crypto/digest.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// Both stand in keys, the domain and the tenant before a NUL.
constexpr std::size_t kMaxDomain = 255;
constexpr std::size_t kMaxTenant = 255;
constexpr std::size_t kHeaderHash = 16;

using storage::v1::IdempotencyRecord;

bool HasNul(absl::string_view text) { return absl::StrContains(text, absl::string_view("\0", 1)); }

// The record of an idempotency key as the next operation must see it; nothing if there is none or it is over.
absl::StatusOr<std::optional<IdempotencyRecord>> FindRecord(const Group& group, const std::string& key,
                                                            std::int64_t now_micros) {
  IdempotencyRecord record;
  if (const auto it = group.idempotency.find(key); it != group.idempotency.end()) {
    record = it->second;
  } else {
    ASSIGN_OR_RETURN(const std::optional<std::string> stored, group.store.Get(Family::kIdempotency, key));
    if (!stored.has_value()) return std::nullopt;
    if (!record.ParseFromString(*stored)) return absl::DataLossError("damaged idempotency record");
  }
  if (record.expire_micros() <= now_micros) return std::nullopt;
  return record;
}

void PutRecord(Group& group, const std::string& key, IdempotencyRecord record) {
  group.batch.Put(Family::kIdempotency, key, record.SerializeAsString());
  group.idempotency[key] = std::move(record);
}

absl::Status KeyReused() { return absl::AlreadyExistsError("the idempotency key was used for another content"); }

class EnqueueOperation : public Operation {
 public:
  EnqueueOperation(Engine& engine, internal::v1::EnqueueRequest request, Done<internal::v1::EnqueueResponse> done);
  ~EnqueueOperation() override { engine_.pending_bytes -= bytes_; }

  bool alone() const override { return maybe_repeat_; }  // It looks at what is there.
  std::size_t bytes() const override { return bytes_; }
  void Apply(Group& group) override;
  void Finish(const absl::Status& status) override;
  void Doubt(const absl::Status& status) override { Answer(status); }

 private:
  // One destination.
  struct Part {
    std::string key;
    std::shared_ptr<const storage::v1::Delivery> delivery;
    std::string record, event;
    storage::v1::DueEntry entry;
    bool known = false;  // An earlier call brought it.
    bool written = false;
    bool parked = false;
    ItemPtr item;  // Set while it has room in memory.
  };

  Part MakePart(internal::v1::Destination destination, std::uint64_t body_part, std::uint32_t destinations) const;
  bool AdmitKey(Group& group);
  absl::Status LookForParts(Group& group);
  absl::StatusOr<bool> Known(Group& group, const Part& part) const;
  void Place(Part& part) ABSL_EXCLUSIVE_LOCKS_REQUIRED(engine_.mu);
  void Write(Group& group);
  void Enter(Part& part) ABSL_EXCLUSIVE_LOCKS_REQUIRED(engine_.mu);
  void Answer(absl::StatusOr<internal::v1::EnqueueResponse> answer) {
    if (done_) std::exchange(done_, nullptr)(std::move(answer));
  }

  Engine& engine_;
  Done<internal::v1::EnqueueResponse> done_;
  internal::v1::IdempotencyCommit key_;
  storage::v1::Envelope envelope_;
  std::shared_ptr<const std::string> body_;
  std::string body_key_, header_key_;
  std::vector<Part> parts_;
  std::int64_t now_ = 0;
  std::int64_t due_ = 0;
  std::size_t bytes_ = 0;
  bool maybe_repeat_ = false;
  bool deliver_by_ = false;
  absl::StatusOr<internal::v1::EnqueueResponse> answer_ = internal::v1::EnqueueResponse();
};

EnqueueOperation::EnqueueOperation(Engine& engine, internal::v1::EnqueueRequest request,
                                   Done<internal::v1::EnqueueResponse> done)
    : engine_(engine),
      done_(std::move(done)),
      key_(std::move(*request.mutable_idempotency())),
      envelope_(std::move(*request.mutable_envelope())),
      body_(std::make_shared<const std::string>(std::move(*request.mutable_body()))),
      now_(engine.NowMicros()),
      due_(std::max(request.due_micros(), now_)),
      bytes_(body_->size() + 1024),
      maybe_repeat_(request.maybe_repeat()) {
  engine_.pending_bytes += bytes_;
  engine_.taken_bytes += bytes_;
  if (envelope_.accept_micros() == 0) envelope_.set_accept_micros(now_);
  envelope_.set_size(body_->size());
  // The lifetime begins when the mail may first be tried.
  const std::int64_t natural = std::max(envelope_.accept_micros(), due_) + engine.lifetime_micros;
  deliver_by_ = envelope_.expire_micros() != 0 && envelope_.expire_micros() < natural;
  if (!deliver_by_) envelope_.set_expire_micros(natural);

  const std::uint64_t body_part = engine.body_parts.fetch_add(1);
  body_key_ = keys::Body(envelope_.message_id(), body_part);
  // A Message-ID that we made begins with the id itself: it needs no index.
  const absl::string_view header = envelope_.message_id_header();
  const auto id = MessageId::FromBytes(envelope_.message_id());
  if (!header.empty() && !absl::StartsWith(header, absl::StrCat(id->text(), "@"))) {
    header_key_ =
        keys::Header(keys::Day(envelope_.accept_micros()),
                     crypto::Sha256(envelope_.message_id_header()).substr(0, kHeaderHash), envelope_.message_id());
  }
  for (internal::v1::Destination& destination : *request.mutable_destinations()) {
    parts_.push_back(MakePart(std::move(destination), body_part, request.destinations_size()));
  }
}

EnqueueOperation::Part EnqueueOperation::MakePart(internal::v1::Destination destination, std::uint64_t body_part,
                                                  std::uint32_t destinations) const {
  Part part;
  part.key = keys::Delivery(envelope_.message_id(), destination.domain());
  auto delivery = std::make_shared<storage::v1::Delivery>();
  *delivery->mutable_envelope() = envelope_;
  delivery->set_domain(destination.domain());
  delivery->set_due_micros(due_);
  delivery->set_body_part(body_part);
  delivery->set_destinations(destinations);
  delivery->set_deliver_by(deliver_by_);
  v1::Event event = MakeEvent(v1::Event::TYPE_ACCEPTED, envelope_, destination.domain(), now_);
  for (int i = 0; i < destination.recipients_size(); ++i) {
    event.add_recipients(destination.recipients(i));
    storage::v1::Recipient& recipient = *delivery->add_recipients();
    recipient.set_address(std::move(*destination.mutable_recipients(i)));
    recipient.set_state(v1::RECIPIENT_STATE_QUEUED);
    if (i >= destination.options_size()) continue;
    recipient.set_notify(destination.options(i).notify());
    recipient.set_original_recipient(std::move(*destination.mutable_options(i)->mutable_original_recipient()));
  }
  part.record = delivery->SerializeAsString();
  part.event = event.SerializeAsString();
  part.delivery = std::move(delivery);
  part.entry.set_priority(envelope_.priority());
  part.entry.set_tenant(envelope_.tenant());
  part.entry.set_accept_micros(envelope_.accept_micros());
  part.entry.set_expire_micros(envelope_.expire_micros());
  part.entry.set_deliver_by(deliver_by_);
  part.entry.set_size(envelope_.size());
  return part;
}

// The rules of IdempotencyCommit. True: write the message, too. Otherwise answer_ is the answer.
bool EnqueueOperation::AdmitKey(Group& group) {
  const auto found = FindRecord(group, key_.key(), now_);
  if (!found.ok()) {
    answer_ = absl::UnavailableError(found.status().message());
    return false;
  }
  if (found->has_value()) {
    const IdempotencyRecord& record = **found;
    if (record.fingerprint() != key_.fingerprint()) {
      answer_ = KeyReused();
      return false;
    }
    if (!record.response().empty()) {
      answer_->set_replayed_response(record.response());
      return false;
    }
    if (record.message_id() != envelope_.message_id()) {
      answer_ = absl::AbortedError("the idempotency key is reserved for another message id");
      return false;
    }
  }
  IdempotencyRecord record;
  record.set_fingerprint(key_.fingerprint());
  record.set_message_id(envelope_.message_id());
  record.set_expire_micros(key_.expire_micros());
  record.set_response(key_.response());
  PutRecord(group, key_.key(), std::move(record));
  return true;
}

// What cannot be read may be there: then nothing is written, or there might be two of it.
absl::Status EnqueueOperation::LookForParts(Group& group) {
  for (Part& part : parts_) {
    ASSIGN_OR_RETURN(part.known, Known(group, part));
  }
  return absl::OkStatus();
}

// Whether this shard took the delivery before: it is open, or its trace tells of it.
absl::StatusOr<bool> EnqueueOperation::Known(Group& group, const Part& part) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> open, group.store.Get(Family::kDelivery, part.key));
  if (open.has_value()) return true;
  const std::string prefix = keys::TracePrefix(envelope_.message_id());
  const auto trace = group.store.Scan(Family::kTrace, prefix, keys::PrefixEnd(prefix));
  if (trace == nullptr) return absl::UnavailableError("the store is being reopened");
  for (; trace->Valid(); trace->Next()) {
    const absl::string_view sequence = trace->key().substr(prefix.size());
    ASSIGN_OR_RETURN(const std::optional<std::string> stored, group.store.Get(Family::kEvent, sequence));
    v1::Event event;
    if (!stored.has_value() || !event.ParseFromString(*stored)) continue;
    if (event.domain() == part.delivery->domain()) return true;
  }
  RETURN_IF_ERROR(trace->status());
  return false;
}

void EnqueueOperation::Apply(Group& group) {
  if (maybe_repeat_) {  // Before the key's record: that must not tell of parts that are not written.
    if (const absl::Status looked = LookForParts(group); !looked.ok()) {
      answer_ = absl::UnavailableError(looked.message());
      return;
    }
  }
  if (!key_.key().empty() && !AdmitKey(group)) return;
  for (Part& part : parts_) part.written = !part.known;
  {
    absl::MutexLock lock(&engine_.mu);
    for (Part& part : parts_) {
      if (part.written) Place(part);
    }
  }
  Write(group);
}

// Room in memory, or parked, or just scheduled.
void EnqueueOperation::Place(Part& part) {
  if (due_ > now_) return;
  Domain& domain = engine_.schedule.Get(part.delivery->domain());
  const int priority_class = PriorityClass(envelope_.priority());
  if (!engine_.schedule.HasRoom(domain, priority_class, envelope_.tenant())) {
    part.parked = true;
    engine_.schedule.NoteParked(
        domain, priority_class, envelope_.tenant(),
        keys::Parked(domain.name, priority_class, envelope_.tenant(), due_, envelope_.message_id()));
    return;
  }
  auto item = std::make_shared<Item>();
  item->key = part.key;
  item->tenant = envelope_.tenant();
  item->priority = envelope_.priority();
  item->priority_class = priority_class;
  item->deliver_by = deliver_by_;
  item->due = due_;
  item->expire = envelope_.expire_micros();
  item->accepted = envelope_.accept_micros();
  item->size = envelope_.size();
  item->domain = &domain;
  engine_.schedule.Hold(*item);
  part.item = std::move(item);
}

void EnqueueOperation::Write(Group& group) {
  bool any = false;
  for (const Part& part : parts_) {
    if (!part.written) continue;
    any = true;
    group.batch.Put(Family::kDelivery, part.key, part.record);
    if (part.parked) {
      PutParked(group.batch, part.key, part.entry, due_);
    } else {
      group.batch.Put(Family::kDue, keys::Due(due_, part.key), part.entry.SerializeAsString());
    }
    PutEvent(group, envelope_.message_id(), part.event);
    group.counters.set_accepted(group.counters.accepted() + part.delivery->recipients_size());
  }
  if (!any) return;
  group.batch.Put(Family::kBody, body_key_, *body_);
  if (!header_key_.empty()) group.batch.Put(Family::kTrace, header_key_, "");
}

void EnqueueOperation::Finish(const absl::Status& status) {
  {
    absl::MutexLock lock(&engine_.mu);
    for (Part& part : parts_) {
      if (!part.written) continue;
      if (status.ok()) {
        Enter(part);
      } else if (part.item != nullptr) {
        engine_.schedule.Drop(*part.item);
        engine_.schedule.Forget(*part.item->domain);
      }
    }
  }
  if (!status.ok()) return Answer(status);
  if (due_ > now_) engine_.LowerNextDue(due_);
  for (const Part& part : parts_) {
    if (part.written && part.parked) engine_.LowerNextDue(EndMicros(part.entry));
  }
  Answer(std::move(answer_));
}

// It is on disk: into memory with it.
void EnqueueOperation::Enter(Part& part) {
  engine_.metrics.accepted.Increment(part.delivery->recipients_size());
  ++engine_.open;
  engine_.schedule.Opened(part.delivery->domain());
  if (part.item == nullptr) return;
  Item& item = *part.item;
  if (engine_.hot_bytes + body_->size() <= engine_.options.hot_bodies) {
    engine_.hot_bytes += body_->size();
    item.hot_bytes = body_->size();
    item.body = body_;
    item.delivery = std::move(part.delivery);
  }
  engine_.Insert(part.item);
  engine_.schedule.Push(std::move(part.item));
}

class ClaimOperation : public Operation {
 public:
  ClaimOperation(Engine& engine, internal::v1::ClaimRequest request, Done<internal::v1::ClaimResponse> done)
      : engine_(engine), request_(std::move(request)), done_(std::move(done)) {}

  void Apply(Group& group) override {
    const auto found = FindRecord(group, request_.key(), engine_.NowMicros());
    if (!found.ok()) {
      answer_ = absl::UnavailableError(found.status().message());
    } else if (!found->has_value()) {
      IdempotencyRecord record;
      record.set_fingerprint(request_.fingerprint());
      record.set_message_id(request_.message_id());
      record.set_expire_micros(request_.expire_micros());
      PutRecord(group, request_.key(), std::move(record));
      answer_->set_message_id(request_.message_id());
    } else if ((*found)->fingerprint() != request_.fingerprint()) {
      answer_ = KeyReused();
    } else {
      answer_->set_message_id((*found)->message_id());
      answer_->set_replayed_response((*found)->response());
    }
  }

  void Finish(const absl::Status& status) override { Answer(status.ok() ? std::move(answer_) : status); }
  void Doubt(const absl::Status& status) override { Answer(status); }

 private:
  void Answer(absl::StatusOr<internal::v1::ClaimResponse> answer) {
    if (done_) std::exchange(done_, nullptr)(std::move(answer));
  }

  Engine& engine_;
  const internal::v1::ClaimRequest request_;
  Done<internal::v1::ClaimResponse> done_;
  absl::StatusOr<internal::v1::ClaimResponse> answer_ = internal::v1::ClaimResponse();
};

}  // namespace

absl::Status ValidateEnqueue(const internal::v1::EnqueueRequest& request) {
  if (request.envelope().message_id().size() != MessageId::kBytes) return absl::InvalidArgumentError("message_id");
  const absl::string_view tenant = request.envelope().tenant();
  if (tenant.size() > kMaxTenant || HasNul(tenant)) return absl::InvalidArgumentError("tenant");
  const bool keyed = request.has_idempotency();
  if (keyed && (request.idempotency().key().empty() || request.idempotency().response().empty())) {
    return absl::InvalidArgumentError("idempotency: key or response is empty");
  }
  if (request.destinations().empty()) return keyed ? absl::OkStatus() : absl::InvalidArgumentError("no destinations");
  if (request.body().empty()) return absl::InvalidArgumentError("body is empty");
  absl::flat_hash_set<absl::string_view> domains;
  for (const internal::v1::Destination& destination : request.destinations()) {
    const absl::string_view domain = destination.domain();
    if (domain.empty() || domain.size() > kMaxDomain || HasNul(domain)) {
      return absl::InvalidArgumentError("destinations.domain");
    }
    if (!domains.insert(domain).second) return absl::InvalidArgumentError("destinations: a domain stands there twice");
    if (destination.recipients().empty()) return absl::InvalidArgumentError("destinations.recipients");
    if (!destination.options().empty() && destination.options_size() != destination.recipients_size()) {
      return absl::InvalidArgumentError("destinations.options");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateClaim(const internal::v1::ClaimRequest& request) {
  if (request.key().empty()) return absl::InvalidArgumentError("key is empty");
  if (request.message_id().size() != MessageId::kBytes) return absl::InvalidArgumentError("message_id");
  return absl::OkStatus();
}

std::unique_ptr<Operation> MakeEnqueue(Engine& engine, internal::v1::EnqueueRequest request,
                                       Done<internal::v1::EnqueueResponse> done) {
  return std::make_unique<EnqueueOperation>(engine, std::move(request), std::move(done));
}

std::unique_ptr<Operation> MakeClaim(Engine& engine, internal::v1::ClaimRequest request,
                                     Done<internal::v1::ClaimResponse> done) {
  return std::make_unique<ClaimOperation>(engine, std::move(request), std::move(done));
}

}  // namespace hikyaku::queue
