// The server's end of one WatchEvents call of a shard.
//
// Threading: the shard offers events, gRPC writes them; the queue between the two has the lock and a bound.
// Lifetimes: made for one call; deletes itself when gRPC says that the call is over.
#ifndef HIKYAKU_SERVICES_QUEUE_EVENT_REACTOR_H_
#define HIKYAKU_SERVICES_QUEUE_EVENT_REACTOR_H_

#include <deque>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "lib/queue/shard.h"
#include "services/common/gate.h"

namespace hikyaku::queue {

class EventReactor final : public grpc::ServerWriteReactor<v1::Event> {
 public:
  // A watcher that reads slower than this many events is offered them again later.
  static constexpr std::size_t kBuffer = 256;

  // `gate` is entered now and left when the reactor is gone; `shard` must live until then.
  EventReactor(Shard& shard, hikyaku::Gate& gate, const internal::v1::WatchShardRequest& request);

 private:
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  bool Offer(const v1::Event& event);
  void FinishOnce(const grpc::Status& status);

  hikyaku::Gate& gate_;
  std::unique_ptr<EventSubscription> subscription_;

  absl::Mutex mutex_;
  std::deque<v1::Event> outgoing_ ABSL_GUARDED_BY(mutex_);  // front() is being written.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_EVENT_REACTOR_H_
