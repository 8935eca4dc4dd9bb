#include "lib/queue/reclaim.h"

#include <algorithm>

#include "lib/base/log.h"
#include "lib/queue/engine.h"

namespace hikyaku::queue {
namespace {

constexpr std::int64_t kPause = 5'000'000;
// After a long one a longer pause, so that a full disk is not kept busy by this alone.
constexpr std::int64_t kPauseFactor = 4;

std::uint64_t Ended(const storage::v1::Counters& counters) {
  return counters.delivered() + counters.bounced() + counters.expired() + counters.cancelled() + counters.suppressed() +
         counters.moved_out();
}

}  // namespace

void Reclaimer::Tick() {
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

}  // namespace hikyaku::queue
