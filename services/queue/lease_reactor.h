// The server's end of one worker's lease stream: joins gRPC's reads and writes to a LeaseStream of the shard.
//
// Threading: gRPC calls On… one at a time for reads and for writes; the shard calls the listener. The outgoing queue is
//            the only state that both touch, and has the lock.
// Lifetimes: made for one call; deletes itself when gRPC says that the call is over.
#ifndef HIKYAKU_SERVICES_QUEUE_LEASE_REACTOR_H_
#define HIKYAKU_SERVICES_QUEUE_LEASE_REACTOR_H_

#include <memory>

#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "hikyaku/internal/v1/queue.grpc.pb.h"
#include "lib/queue/shard.h"
#include "services/common/gate.h"
#include "services/queue/outbox.h"

namespace hikyaku::queue {

class LeaseReactor final : public grpc::ServerBidiReactor<internal::v1::WorkerMessage, internal::v1::ShardMessage>,
                           private LeaseListener {
 public:
  // `gate` is entered now and left when the reactor is gone; `shard` must live until then.
  LeaseReactor(Shard& shard, hikyaku::Gate& gate);

 private:
  // gRPC's side.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // The shard's side.
  void OnLease(queue::Lease lease) override;
  void OnRecorded(std::uint64_t lease) override;
  void OnRevoked(std::uint64_t lease) override;
  void OnPause() override;
  void OnClosed(absl::Status why) override;

  void Handle(internal::v1::WorkerMessage& word);
  void Begin(const internal::v1::Hello& hello);
  // Goes out at the next OnPause.
  void Say(internal::v1::ShardMessage word);
  // Begins a write if one can begin.
  void WriteOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the call once; later calls do nothing.
  void FinishOnce(const grpc::Status& status);

  Shard& shard_;
  hikyaku::Gate& gate_;
  std::unique_ptr<LeaseStream> stream_;  // Set by Hello, on gRPC's thread.
  internal::v1::WorkerMessage incoming_;
  std::uint32_t credit_ = 0;  // Of the words of one message: granted when they are all read.

  absl::Mutex mutex_;
  Outbox<internal::v1::ShardMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_LEASE_REACTOR_H_
