#include "services/queue/event_reactor.h"

#include <thread>
#include <utility>

#include "services/common/grpc_status.h"

namespace hikyaku::queue {

EventReactor::EventReactor(Shard& shard, hikyaku::Gate& gate, const internal::v1::WatchShardRequest& request)
    : gate_(gate) {
  gate_.Enter();
  subscription_ = shard.WatchEvents(
      request, [this](const v1::Event& event) { return Offer(event); },
      [this](absl::Status why) { FinishOnce(ToGrpcStatus(why)); });
}

bool EventReactor::Offer(const v1::Event& event) {
  absl::MutexLock lock(&mutex_);
  if (finished_) return true;  // Nobody waits for it any more.
  if (outgoing_.size() >= kBuffer) return false;
  outgoing_.push_back(event);
  if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  return true;
}

void EventReactor::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  outgoing_.pop_front();
  if (ok && !finished_ && !outgoing_.empty()) StartWrite(&outgoing_.front());
}

void EventReactor::OnCancel() { FinishOnce({grpc::StatusCode::CANCELLED, "the watcher has gone"}); }

void EventReactor::FinishOnce(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(finished_, true)) return;
  Finish(status);
}

void EventReactor::OnDone() {
  // Ending the subscription waits for its running callback, which may be the one that brought us here.
  std::thread([this] {
    subscription_.reset();
    hikyaku::Gate& gate = gate_;
    delete this;
    gate.Leave();
  }).detach();
}

}  // namespace hikyaku::queue
