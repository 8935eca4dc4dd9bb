#include "services/submission/call_gate.h"

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
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(this, &CallGate::Empty), limit);
}

}  // namespace hikyaku::submission
