#include "services/submission/call_gate.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "lib/base/log.h"

namespace hikyaku::submission {

bool CallGate::Enter(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  if (closed_) return false;
  ++calls_;
  if (stream != nullptr) streams_.insert(stream);
  return true;
}

void CallGate::Leave(Stream* stream) {
  absl::MutexLock lock(&mutex_);
  --calls_;
  if (stream != nullptr) streams_.erase(stream);
}

void CallGate::Close() {
  absl::MutexLock lock(&mutex_);
  if (closed_) return;
  closed_ = true;
  // Under the lock, so that none of them leaves, and is destroyed, meanwhile.
  for (Stream* stream : streams_) stream->OnStopping();
}

bool CallGate::WaitUntilEmpty(absl::Duration limit) {
  const absl::Time end = absl::Now() + limit;
  absl::MutexLock lock(&mutex_);
  for (;;) {
    const absl::Time pause = std::min(end, absl::Now() + kClientGrace);
    if (mutex_.AwaitWithDeadline(absl::Condition(this, &CallGate::Empty), pause)) return true;
    const absl::Time then = absl::Now() - kClientGrace;
    const auto stuck =
        std::count_if(streams_.begin(), streams_.end(), [then](Stream* s) { return s->StuckSince(then); });
    if (static_cast<std::size_t>(stuck) == calls_) {
      log::Warn("stop_leaves_clients", {{"streams", stuck}, {"why", "they have stopped reading"}});
      return true;
    }
    if (pause == end) return false;
  }
}

}  // namespace hikyaku::submission
