#include "lib/queue/reclaim.h"

#include <algorithm>
#include <memory>

#include "absl/strings/strip.h"
#include "lib/base/log.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

constexpr std::int64_t kPause = 5'000'000;
// After a long one a longer pause, so that a full disk is not kept busy by this alone.
constexpr std::int64_t kPauseFactor = 4;

constexpr std::int64_t kLeftPause = 60'000'000;
constexpr int kLeftStep = 1000;  // Bodies looked at in one commit.

std::uint64_t Ended(const storage::v1::Counters& counters) {
  return counters.delivered() + counters.bounced() + counters.expired() + counters.cancelled() + counters.suppressed() +
         counters.moved_out();
}

}  // namespace

void Reclaimer::Tick() {
  LookForLeftBodies();
  if (!engine_.gate.Closed(Gate::kDisk) || busy_ || engine_.NowMicros() < next_) return;
  const std::uint64_t ended = Ended(engine_.committer.counters());
  if (ended_ == ended) return;
  ended_ = ended;
  busy_ = true;
  engine_.housekeepers.Push([this, ended] { Reclaim(ended); });
}

void Reclaimer::Reclaim(std::uint64_t ended) {
  const std::int64_t start = engine_.NowMicros();
  const absl::Status done = engine_.store->Reclaim(&stop_);
  const std::int64_t took = engine_.NowMicros() - start;
  log::Info("disk_reclaimed",
            {{"shard", engine_.options.name}, {"ended", ended}, {"ms", took / 1000}, {"result", done}});
  next_ = start + took + std::max(kPause, took * kPauseFactor);
  busy_ = false;
}

class Reclaimer::LeftBodies : public Operation {
 public:
  explicit LeftBodies(Reclaimer& owner) : owner_(owner) {}

  bool alone() const override { return true; }

  void Apply(Group& group) override {
    const auto marks = group.store.Scan(Family::kMeta, keys::kLeftBody, keys::PrefixEnd(keys::kLeftBody));
    for (int seen = 0; marks != nullptr && marks->Valid() && seen < kLeftStep; marks->Next(), ++seen) {
      const absl::string_view body = absl::StripPrefix(marks->key(), keys::kLeftBody);
      const std::optional<bool> needed = Needed(group, body);
      if (!needed.has_value()) continue;  // Not now, either.
      if (!*needed) group.batch.Delete(Family::kBody, body);
      group.batch.Delete(Family::kMeta, marks->key());
    }
  }

  void Finish(const absl::Status&) override { owner_.looking_ = false; }

 private:
  // Whether a delivery stands on this body; a damaged one may. Nullopt: they cannot be read.
  static std::optional<bool> Needed(Group& group, absl::string_view body) {
    const absl::string_view id = keys::DeliveryId(body);
    const std::uint64_t part = keys::ReadBig64(body.substr(id.size()));
    const auto cursor = group.store.Scan(Family::kDelivery, id, keys::PrefixEnd(id));
    for (; cursor != nullptr && cursor->Valid(); cursor->Next()) {
      storage::v1::Delivery delivery;
      if (!delivery.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()))) return true;
      if (delivery.body_part() == part) return true;
    }
    if (cursor == nullptr || !cursor->status().ok()) return std::nullopt;
    return false;
  }

  Reclaimer& owner_;
};

void Reclaimer::LookForLeftBodies() {
  const std::int64_t now = engine_.lease_micros;
  if (looking_ || now < next_look_) return;
  next_look_ = now + kLeftPause;
  looking_ = true;
  engine_.committer.Push(std::make_unique<LeftBodies>(*this));
}

}  // namespace hikyaku::queue
