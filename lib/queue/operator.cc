#include "lib/queue/operator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "lib/base/message_id.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// Entries looked at, and changed, in one step.
constexpr int kSeen = 20'000;
constexpr int kChanged = 500;

// A purge goes over the queue again while verdicts of the domain are on their way.
constexpr int kPasses = 20;

// Scheduled deliveries of a domain, of a message, or all: due now.
class FlushOperation : public Operation {
 public:
  FlushOperation(Engine& engine, std::string domain, std::string id, std::string from, std::uint64_t flushed,
                 Done<v1::FlushResponse> done)
      : engine_(engine),
        domain_(std::move(domain)),
        id_(std::move(id)),
        from_(std::move(from)),
        flushed_(flushed),
        done_(std::move(done)) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    now_ = engine_.NowMicros();
    if (from_.empty()) from_ = keys::Due(now_ + 1, "");
    const auto cursor = engine_.store->Scan(Family::kDue, from_, "");
    if (cursor == nullptr) return;
    int changed = 0;
    for (int seen = 0; cursor->Valid() && seen < kSeen && changed < kChanged; cursor->Next(), ++seen) {
      changed += Move(group, cursor->key(), cursor->value());
    }
    changed_ = changed;
    if (cursor->Valid()) next_ = std::string(cursor->key());
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return std::move(done_)(status);
    flushed_ += changed_;
    if (changed_ > 0) engine_.LowerNextDue(now_);
    if (!next_.empty()) {
      return engine_.committer.Push(std::make_unique<FlushOperation>(engine_, std::move(domain_), std::move(id_),
                                                                     std::move(next_), flushed_, std::move(done_)));
    }
    EndPauses();
    engine_.Poll();
    v1::FlushResponse response;
    response.set_flushed(flushed_);
    std::move(done_)(std::move(response));
  }

 private:
  bool Move(Group& group, absl::string_view key, absl::string_view value) {
    const auto parts = keys::ParseDue(key);
    if (!parts.has_value()) return false;
    const absl::string_view delivery_key = parts->delivery_key;
    if (!domain_.empty() && keys::DeliveryDomain(delivery_key) != domain_) return false;
    if (!id_.empty() && keys::DeliveryId(delivery_key) != id_) return false;
    storage::v1::DueEntry entry;
    if (!entry.ParseFromArray(value.data(), static_cast<int>(value.size())) || entry.parked_micros() != 0) return false;
    {
      absl::MutexLock lock(&engine_.mu);
      if (engine_.items.contains(delivery_key)) return false;
    }
    const auto record = group.store.Get(Family::kDelivery, delivery_key);
    storage::v1::Delivery delivery;
    if (!record.ok() || !record->has_value() || !delivery.ParseFromString(**record)) return false;
    delivery.set_due_micros(now_);
    group.batch.Put(Family::kDelivery, delivery_key, delivery.SerializeAsString());
    group.batch.Delete(Family::kDue, key);
    group.batch.Put(Family::kDue, keys::Due(now_, delivery_key), value);
    return true;
  }

  // Who asks for a try wants it now, also where nothing worked of late.
  void EndPauses() {
    absl::MutexLock lock(&engine_.mu);
    if (domain_.empty()) {
      engine_.schedule.EndPauses(kNever);
    } else if (Domain* domain = engine_.schedule.Find(domain_); domain != nullptr) {
      engine_.schedule.EndPause(*domain);
    }
  }

  Engine& engine_;
  std::string domain_, id_, from_;
  std::uint64_t flushed_;
  Done<v1::FlushResponse> done_;
  std::int64_t now_ = 0;
  int changed_ = 0;
  std::string next_;
};

// Ends every delivery of a domain. Every open delivery has one entry in `due`, so that is where they are found.
class PurgeOperation : public Operation {
 public:
  struct Progress {
    std::string domain;
    std::string from;
    std::uint64_t purged = 0;
    bool skipped = false;  // In this pass.
    int pass = 1;
  };

  PurgeOperation(Engine& engine, Progress progress, Done<v1::PurgeResponse> done)
      : engine_(engine), progress_(std::move(progress)), done_(std::move(done)) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    const std::int64_t now = engine_.NowMicros();
    const auto cursor = engine_.store->Scan(Family::kDue, progress_.from, "");
    if (cursor == nullptr) return;
    for (int seen = 0; cursor->Valid() && seen < kSeen && endings_.size() < kChanged; cursor->Next(), ++seen) {
      Take(cursor->key(), cursor->value());
    }
    if (cursor->Valid()) next_ = std::string(cursor->key());
    for (Ending& ending : endings_) EndDelivery(engine_, group, ending, v1::Event::TYPE_CANCELLED, now);
  }

  void Finish(const absl::Status& status) override {
    SettleLeases(status.ok());
    FinishEndings(engine_, endings_, v1::Event::TYPE_CANCELLED, status.ok());
    if (!status.ok()) return std::move(done_)(status);
    for (const Ending& ending : endings_) {
      if (ending.kept) {
        progress_.skipped = true;
      } else {
        ++progress_.purged;
      }
    }
    progress_.from = std::move(next_);
    if (progress_.from.empty()) {
      const bool again = std::exchange(progress_.skipped, false) && progress_.pass < kPasses;
      if (!again) {
        v1::PurgeResponse response;
        response.set_purged(progress_.purged);
        return std::move(done_)(std::move(response));
      }
      ++progress_.pass;
    }
    engine_.committer.Push(std::make_unique<PurgeOperation>(engine_, std::move(progress_), std::move(done_)));
  }

 private:
  void Take(absl::string_view key, absl::string_view value) {
    const auto parts = keys::ParseDue(key);
    if (!parts.has_value() || keys::DeliveryDomain(parts->delivery_key) != progress_.domain) return;
    storage::v1::DueEntry entry;
    if (!entry.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
    absl::MutexLock lock(&engine_.mu);
    const auto it = engine_.items.find(parts->delivery_key);
    if (it == engine_.items.end()) {
      const bool parked = entry.parked_micros() != 0;
      const std::int64_t due = parked ? entry.parked_micros() : parts->micros;
      endings_.push_back({std::string(parts->delivery_key), std::move(entry), due, parked});
      return;
    }
    const ItemPtr item = *it;
    // What a worker sends stays with it until the end is on disk: were it taken back now, and the commit failed, it would
    // go out again while the first worker still sends.
    const bool sending = item->state == ItemState::kLeased && item->offered;
    if (item->state == ItemState::kReady) {
      engine_.schedule.Remove(*item);
    } else if (item->state != ItemState::kLeased) {
      progress_.skipped = true;  // Its verdict, or its expiry, is behind us in the line.
      return;
    } else if (!sending) {
      engine_.leases.Revoke(*item);
      engine_.EndLease(*item);
    }
    item->state = ItemState::kEnding;
    endings_.push_back(EndingOf(item));
    endings_.back().leased = sending;
  }

  // Of what workers were sending: purged, it is taken from them; otherwise it stays theirs, unless they gave it back
  // or lost it meanwhile. A verdict that came meanwhile is behind us in the line, and finds what it finds.
  void SettleLeases(bool committed) {
    absl::MutexLock lock(&engine_.mu);
    for (Ending& ending : endings_) {
      if (!ending.leased) continue;
      Item& item = *ending.item;
      if (item.state == ItemState::kGone) {  // Its verdict came to a committer that had stopped.
        ending.item = nullptr;
      } else if (committed && !ending.kept) {
        if (item.stream != nullptr) engine_.leases.Revoke(item);
        engine_.EndLease(item);
      } else if (item.state == ItemState::kReporting) {
        ending.item = nullptr;
      } else if (item.stream != nullptr) {
        item.state = ItemState::kLeased;
        ending.item = nullptr;
      } else {
        engine_.TakeBack(std::exchange(ending.item, nullptr), /*lost=*/false);
      }
    }
  }

  Engine& engine_;
  Progress progress_;
  Done<v1::PurgeResponse> done_;
  std::string next_;
  std::vector<Ending> endings_;
};

class SuspendOperation : public Operation {
 public:
  SuspendOperation(Engine& engine, std::string domain, std::string reason, bool suspended,
                   absl::AnyInvocable<void(absl::Status)> done)
      : engine_(engine),
        domain_(std::move(domain)),
        reason_(std::move(reason)),
        suspended_(suspended),
        done_(std::move(done)) {}

  void Apply(Group& group) override {
    const std::string key = std::string(keys::kSuspended) + domain_;
    if (!suspended_) return group.batch.Delete(Family::kMeta, key);
    storage::v1::Suspension record;
    record.set_reason(reason_);
    record.set_since_micros(engine_.NowMicros());
    group.batch.Put(Family::kMeta, key, record.SerializeAsString());
  }

  void Finish(const absl::Status& status) override {
    if (status.ok()) {
      absl::MutexLock lock(&engine_.mu);
      Domain& domain = engine_.schedule.Get(domain_);
      engine_.schedule.Suspend(domain, suspended_);
      engine_.schedule.Forget(domain);
    }
    std::move(done_)(status);
  }

 private:
  Engine& engine_;
  const std::string domain_, reason_;
  const bool suspended_;
  absl::AnyInvocable<void(absl::Status)> done_;
};

}  // namespace

std::unique_ptr<Operation> MakeFlush(Engine& engine, const v1::FlushRequest& request, Done<v1::FlushResponse> done) {
  std::string id;
  if (const auto parsed = MessageId::FromText(request.message_id()); parsed.has_value())
    id = std::string(parsed->bytes());
  return std::make_unique<FlushOperation>(engine, absl::AsciiStrToLower(request.domain()), std::move(id), "", 0,
                                          std::move(done));
}

std::unique_ptr<Operation> MakePurge(Engine& engine, const v1::PurgeRequest& request, Done<v1::PurgeResponse> done) {
  PurgeOperation::Progress progress;
  progress.domain = absl::AsciiStrToLower(request.domain());
  return std::make_unique<PurgeOperation>(engine, std::move(progress), std::move(done));
}

std::unique_ptr<Operation> MakeSuspend(Engine& engine, std::string domain, std::string reason, bool suspended,
                                       absl::AnyInvocable<void(absl::Status)> done) {
  return std::make_unique<SuspendOperation>(engine, absl::AsciiStrToLower(domain), std::move(reason), suspended,
                                            std::move(done));
}

}  // namespace hikyaku::queue
