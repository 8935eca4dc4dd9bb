#include "lib/queue/retention.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/base/message_id.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

constexpr std::int64_t kMinute = 60'000'000;

// Each DeleteRange leaves a mark that reads must skip until compaction: few of them, of much each.
constexpr std::int64_t kEventsPeriod = 10 * kMinute;
constexpr std::int64_t kKeysPeriod = 10 * kMinute;
constexpr int kKeysSeen = 20'000;  // Records looked at in one walk: the store must not be held open for long.
constexpr int kKeysStep = 1000;    // Removed in one commit.

// Where a round goes on when nothing is left: no key begins so, for a tenant is UTF-8.
constexpr absl::string_view kRoundEnd = "\xff\xff";

}  // namespace

// Removes events before `end`, and traces of messages accepted before `trace_micros`.
class Retention::EventsOperation : public Operation {
 public:
  EventsOperation(Retention& retention, std::uint64_t end, std::int64_t trace_micros)
      : retention_(retention), end_(end), day_(keys::Day(trace_micros)) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    if (end_ > retention_.dropped_) {
      group.batch.DeleteRange(Family::kEvent, keys::Big64(retention_.dropped_), keys::Big64(end_));
    }
    if (day_ <= retention_.dropped_day_) return;
    const MessageId first = MessageId::FirstAt(absl::FromUnixSeconds(std::int64_t{day_} * 86'400));
    group.batch.DeleteRange(Family::kTrace, keys::TracePrefix(""), keys::TracePrefix(first.bytes()));
    group.batch.DeleteRange(Family::kTrace, keys::HeaderPrefix(0, ""), keys::HeaderPrefix(day_, ""));
  }

  void Finish(const absl::Status& status) override {
    if (!status.ok()) return;
    retention_.engine_.store->DropFiles(Family::kEvent, keys::Big64(0), keys::Big64(end_));
    retention_.dropped_ = std::max(retention_.dropped_, end_);
    retention_.dropped_day_ = std::max(retention_.dropped_day_, day_);
  }

 private:
  Retention& retention_;
  const std::uint64_t end_;
  const std::uint32_t day_;
};

// Removes records that were found to be over, unless they were written again meanwhile.
class Retention::KeysOperation : public Operation {
 public:
  KeysOperation(Retention& retention, std::vector<std::string> over) : retention_(retention), over_(std::move(over)) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    const std::int64_t now = retention_.engine_.NowMicros();
    for (const std::string& key : over_) {
      const auto stored = group.store.Get(Family::kIdempotency, key);
      storage::v1::IdempotencyRecord record;
      if (!stored.ok() || !stored->has_value() || !record.ParseFromString(**stored)) continue;
      if (record.expire_micros() <= now) group.batch.Delete(Family::kIdempotency, key);
    }
  }

  void Finish(const absl::Status& status) override { retention_.GoOn(status.ok()); }

 private:
  Retention& retention_;
  const std::vector<std::string> over_;
};

void Retention::Tick() {
  const std::int64_t now = engine_.NowMicros();
  if (now >= next_events_) {
    next_events_ = now + kEventsPeriod;
    DropEvents(now);
  }
  if (busy_ || (key_from_.empty() && now < next_keys_)) return;
  if (key_from_.empty()) next_keys_ = now + kKeysPeriod;
  busy_ = true;
  GoOn(true);
}

// The next step of the round, on a thread that may take its time; or the round is over, or broken off.
void Retention::GoOn(bool well) {
  if (!well || key_from_ == kRoundEnd || engine_.stopping) {
    if (key_from_ == kRoundEnd) key_from_.clear();
    busy_ = false;
    return;
  }
  engine_.housekeepers.Push([this] { LookAtKeys(); });
}

void Retention::LookAtKeys() {
  const std::int64_t now = engine_.NowMicros();
  std::vector<std::string> over;
  {
    const auto cursor = engine_.store->Scan(Family::kIdempotency, key_from_, "");
    if (cursor == nullptr) return GoOn(false);
    for (int seen = 0; cursor->Valid() && seen < kKeysSeen && over.size() < kKeysStep; cursor->Next(), ++seen) {
      storage::v1::IdempotencyRecord record;
      const bool read = record.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()));
      if (read && record.expire_micros() <= now) over.emplace_back(cursor->key());
    }
    if (!cursor->Valid() && !cursor->status().ok()) return GoOn(false);
    key_from_ = cursor->Valid() ? std::string(cursor->key()) : std::string(kRoundEnd);
  }
  if (over.empty()) return GoOn(true);
  engine_.committer.Push(std::make_unique<KeysOperation>(*this, std::move(over)));
}

void Retention::DropEvents(std::int64_t now_micros) {
  const std::int64_t keep = absl::ToInt64Microseconds(engine_.options.event_retention);
  const std::uint64_t end = FirstSince(now_micros - keep);
  const std::int64_t trace = now_micros - keep - engine_.lifetime_micros - kLongestScheduleMicros;
  engine_.committer.Push(std::make_unique<EventsOperation>(*this, end, std::max<std::int64_t>(trace, 0)));
}

// The first event that is not older; 0: all are old enough to stay, or none is there. Times grow with sequences, but
// for a clock that was set back.
std::uint64_t Retention::FirstSince(std::int64_t micros) const {
  const auto cursor = engine_.store->Scan(Family::kEvent, "", "");
  const std::uint64_t end = engine_.committer.counters().next_sequence();
  if (cursor == nullptr || !cursor->Valid()) return 0;
  const auto old = [&](std::uint64_t sequence) {
    cursor->Seek(keys::Big64(sequence));
    v1::Event event;
    if (!cursor->Valid() || !event.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()))) {
      return false;
    }
    return event.time().seconds() * 1'000'000 + event.time().nanos() / 1000 < micros;
  };
  std::uint64_t low = keys::ReadBig64(cursor->key()), high = end;
  if (!old(low)) return 0;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    old(middle) ? low = middle + 1 : high = middle;
  }
  return low;
}

}  // namespace hikyaku::queue
