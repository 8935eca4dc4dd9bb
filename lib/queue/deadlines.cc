#include "lib/queue/deadlines.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// Entries of one operation: few enough to hold up the commits of others by milliseconds only.
constexpr int kPollEntries = 1000;
constexpr int kRefillLanes = 16;
constexpr std::uint32_t kRefillEntries = 256;  // Of one lane.

constexpr absl::Duration kAgainPause = absl::Seconds(5);

// How far ahead the next deadline is looked for: beyond may lie the marks of a million that were taken away.
constexpr std::int64_t kSeekMicros = std::int64_t{600} * 1'000'000;

class PollOperation : public Operation {
 public:
  explicit PollOperation(Engine& engine) : engine_(engine) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    now_ = engine_.NowMicros();
    if (engine_.WantsPollAgain() && engine_.next_due_micros > now_) {  // Else a round is under way: after it.
      engine_.LowerNextDue(engine_.again_from.exchange(kNever));
    }
    began_ = engine_.next_due_micros.load();
    const auto cursor = engine_.store->Scan(Family::kDue, engine_.next_due, keys::Due(now_ + 1, ""));
    if (cursor == nullptr) return;
    int entries = 0;
    for (; cursor->Valid() && entries < kPollEntries; cursor->Next(), ++entries) {
      Take(group.batch, cursor->key(), cursor->value());
    }
    if (cursor->Valid()) {
      more_ = true;
      Continue(std::string(cursor->key()));
    } else if (cursor->status().ok()) {
      SeekFuture();
    }
    for (Ending& ending : endings_) EndDelivery(engine_, group, ending, v1::Event::TYPE_EXPIRED, now_);
  }

  void Finish(const absl::Status& status) override {
    FinishEndings(engine_, endings_, v1::Event::TYPE_EXPIRED, status.ok());
    if (!status.ok()) engine_.LowerNextDue(began_);
    engine_.LowerNextDue(first_end_);
    engine_.polling = false;
    if (status.ok() && more_) engine_.Poll();
  }

 private:
  // What is to become of one entry that is due.
  void Take(Batch& batch, absl::string_view key, absl::string_view value) {
    const auto parts = keys::ParseDue(key);
    storage::v1::DueEntry entry;
    if (!parts.has_value() || !entry.ParseFromArray(value.data(), static_cast<int>(value.size()))) return;
    const absl::string_view delivery_key = parts->delivery_key;
    const bool parked = entry.parked_micros() != 0;
    absl::MutexLock lock(&engine_.mu);
    if (engine_.items.contains(delivery_key)) return;  // What is in memory is watched there, its end too.
    if (parked || now_ >= EndMicros(entry)) {
      const std::int64_t due = parked ? entry.parked_micros() : parts->micros;
      endings_.push_back({std::string(delivery_key), std::move(entry), due, parked});
      return;
    }
    Domain& domain = engine_.schedule.Get(keys::DeliveryDomain(delivery_key));
    const int priority_class = PriorityClass(entry.priority());
    if (engine_.schedule.HasRoom(domain, priority_class, entry.tenant())) {
      engine_.Load(delivery_key, entry, parts->micros, false);
      return;
    }
    batch.Delete(Family::kDue, key);
    first_end_ = std::min(first_end_, EndMicros(entry));
    PutParked(batch, delivery_key, entry, parts->micros);
    engine_.schedule.NoteParked(
        domain, priority_class, entry.tenant(),
        keys::Parked(domain.name, priority_class, entry.tenant(), parts->micros, keys::DeliveryId(delivery_key)));
  }

  void Continue(std::string key) {
    engine_.next_due_micros = static_cast<std::int64_t>(keys::ReadBig64(key));
    engine_.next_due = std::move(key);
  }

  // Nothing more is due: finds what will be next, so that the next poll begins there. If that is far away, the poll
  // looks again before it comes.
  void SeekFuture() {
    const std::string end = keys::Due(now_ + kSeekMicros, "");
    const auto cursor = engine_.store->Scan(Family::kDue, keys::Due(now_ + 1, ""), end);
    if (cursor == nullptr || !cursor->status().ok()) return;
    Continue(cursor->Valid() ? std::string(cursor->key()) : end);
  }

  Engine& engine_;
  std::int64_t now_ = 0;
  std::int64_t began_ = kNever;      // Where a failure sends us back to: nowhere, if Apply never ran.
  std::int64_t first_end_ = kNever;  // Of what was parked here: SeekFuture could not see it yet.
  bool more_ = false;
  std::vector<Ending> endings_;
};

class RefillOperation : public Operation {
 public:
  explicit RefillOperation(Engine& engine) : engine_(engine) {}

  bool alone() const override { return true; }

  void Apply(Group&) override {
    for (int i = 0; i < kRefillLanes; ++i) {
      Lane* lane;
      std::string prefix, from;
      std::uint32_t room;
      {
        absl::MutexLock lock(&engine_.mu);
        lane = engine_.schedule.NextRefill();
        if (lane == nullptr) return;
        prefix = keys::ParkedPrefix(lane->domain->name, lane->priority_class, lane->tenant);
        from = std::max(prefix, lane->from);
        room = std::min(engine_.schedule.Room(*lane), kRefillEntries);
      }
      if (room > 0) Refill(*lane, from, keys::PrefixEnd(prefix), room);
    }
  }

  void Finish(const absl::Status&) override {
    absl::MutexLock lock(&engine_.mu);
    engine_.refilling = false;
  }

 private:
  struct Found {
    std::string key;  // As in `delivery`.
    storage::v1::DueEntry entry;
    std::int64_t micros;
  };

  // Only operations change what is parked of a lane, so it stays as it is while the disk is read.
  void Refill(Lane& lane, const std::string& from, const std::string& end, std::uint32_t room) {
    const auto cursor = engine_.store->Scan(Family::kParked, from, end);
    if (cursor == nullptr) return;
    std::vector<Found> found;
    for (; cursor->Valid() && found.size() < room; cursor->Next()) {
      const auto parts = keys::ParseParked(cursor->key());
      Found each;
      if (!parts.has_value() ||
          !each.entry.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()))) {
        continue;
      }
      each.key = keys::Delivery(parts->id, parts->domain);
      each.micros = parts->micros;
      found.push_back(std::move(each));
    }
    absl::MutexLock lock(&engine_.mu);
    Domain& domain = *lane.domain;
    for (const Found& each : found) engine_.Load(each.key, each.entry, each.micros, true);
    if (cursor->Valid()) {
      engine_.schedule.NoteRefilled(lane, std::string(cursor->key()));
    } else if (cursor->status().ok()) {
      engine_.schedule.NoteRefilled(lane, "");
    }
    engine_.schedule.Forget(domain);
  }

  Engine& engine_;
};

class ExpireOperation : public Operation {
 public:
  ExpireOperation(Engine& engine, std::vector<ItemPtr> items, bool owned)
      : engine_(engine), items_(std::move(items)), owned_(owned) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    const std::int64_t now = engine_.NowMicros();
    {
      absl::MutexLock lock(&engine_.mu);
      for (ItemPtr& item : items_) {
        if (!owned_) {
          if (item->state != ItemState::kReady || item->flow == nullptr) continue;  // Someone was quicker.
          engine_.schedule.Remove(*item);
          item->state = ItemState::kEnding;
        }
        endings_.push_back(EndingOf(std::move(item)));
      }
    }
    for (Ending& ending : endings_) EndDelivery(engine_, group, ending, v1::Event::TYPE_EXPIRED, now);
  }

  void Finish(const absl::Status& status) override {
    FinishEndings(engine_, endings_, v1::Event::TYPE_EXPIRED, status.ok());
    if (status.ok()) return;
    absl::MutexLock lock(&engine_.mu);
    for (ItemPtr& item : items_) {  // Those that Apply did not come to.
      if (owned_ && item != nullptr) engine_.schedule.Push(std::move(item));
    }
  }

 private:
  Engine& engine_;
  std::vector<ItemPtr> items_;
  const bool owned_;  // Else nobody's until Apply takes them: another operation may have the same in mind.
  std::vector<Ending> endings_;
};

class DelayOperation : public Operation {
 public:
  DelayOperation(Engine& engine, ItemPtr item, std::int64_t due)
      : engine_(engine), item_(std::move(item)), due_(std::min(due, EndMicros(*item_))) {}

  bool must_happen() const override { return true; }

  void Apply(Group& group) override {
    const auto record = group.store.Get(Family::kDelivery, item_->key);
    kept_ = absl::IsUnavailable(record.status());
    if (kept_) return;
    DeleteEntries(group.batch, *item_);
    group.batch.Put(Family::kDue, keys::Due(due_, item_->key), EntryOf(*item_).SerializeAsString());
    storage::v1::Delivery delivery;
    if (!record.ok() || !record->has_value() || !delivery.ParseFromString(**record)) return;
    delivery.set_due_micros(due_);
    group.batch.Put(Family::kDelivery, item_->key, delivery.SerializeAsString());
  }

  void Finish(const absl::Status& status) override {
    engine_.LowerNextDue(kept_ ? kNever : due_);
    absl::MutexLock lock(&engine_.mu);
    engine_.Erase(item_);
    if (!kept_) return engine_.schedule.Forget(*item_->domain);
    if (!item_->parked) return engine_.PollAgain(item_->due);
    const absl::string_view domain = keys::DeliveryDomain(item_->key);
    engine_.schedule.NoteParked(
        engine_.schedule.Get(domain), item_->priority_class, item_->tenant,
        keys::Parked(domain, item_->priority_class, item_->tenant, item_->due, keys::DeliveryId(item_->key)));
  }

 private:
  Engine& engine_;
  const ItemPtr item_;
  const std::int64_t due_;
  bool kept_ = false;  // Its record cannot be read now: it stays where it is, on disk.
};

}  // namespace

std::unique_ptr<Operation> MakePoll(Engine& engine) { return std::make_unique<PollOperation>(engine); }
std::unique_ptr<Operation> MakeRefill(Engine& engine) { return std::make_unique<RefillOperation>(engine); }
std::unique_ptr<Operation> MakeExpire(Engine& engine, std::vector<ItemPtr> items, bool owned) {
  return std::make_unique<ExpireOperation>(engine, std::move(items), owned);
}
std::unique_ptr<Operation> MakeDelay(Engine& engine, ItemPtr item, std::int64_t due_micros) {
  return std::make_unique<DelayOperation>(engine, std::move(item), due_micros);
}

void Engine::PollAgain(std::int64_t micros) {
  again_from = std::min(again_from.load(), micros);
  again_at = lease_micros + absl::ToInt64Microseconds(kAgainPause);
}

bool Engine::WantsPollAgain() const { return again_from != kNever && lease_micros >= again_at; }

void Engine::Poll() {
  if (NowMicros() < next_due_micros.load() && !WantsPollAgain()) return;
  if (!polling.exchange(true)) committer.Push(MakePoll(*this));
}

}  // namespace hikyaku::queue
