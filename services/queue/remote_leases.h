// The worker's end of a lease stream to a shard in another process.
//
// Threading: as LeaseStream says. Lifetimes: the stub outlives it.
#ifndef HIKYAKU_SERVICES_QUEUE_REMOTE_LEASES_H_
#define HIKYAKU_SERVICES_QUEUE_REMOTE_LEASES_H_

#include <atomic>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "grpcpp/client_context.h"
#include "hikyaku/internal/v1/queue.grpc.pb.h"
#include "lib/queue/shard.h"
#include "services/queue/outbox.h"

namespace hikyaku::queue {

class RemoteLeases final : public LeaseStream,
                           private grpc::ClientBidiReactor<internal::v1::WorkerMessage, internal::v1::ShardMessage> {
 public:
  RemoteLeases(internal::v1::QueueService::Stub& stub, std::string worker, LeaseListener* listener);
  ~RemoteLeases() override;

  void Grant(std::uint32_t leases) override;
  void Report(internal::v1::Verdict verdict) override;
  void ReportAndGrant(internal::v1::Verdict verdict, std::uint32_t leases) override;
  void GiveBack(std::uint64_t lease) override;
  void Renew() override;
  absl::Duration lease_time() const override;
  void Close() override;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  // Each in its order; together, if the shard reads that.
  template <typename... Words>
  void Send(Words... words);
  void Hear(internal::v1::ShardMessage& word);
  void Begin(const internal::v1::Welcome& welcome);
  // Lets the call end when nothing is left to write: a hold is what keeps a half-closed call open.
  void EndWrites();

  LeaseListener* const listener_;
  grpc::ClientContext context_;
  internal::v1::ShardMessage incoming_;
  std::atomic<std::int64_t> lease_micros_{0};
  absl::Notification done_;

  absl::Mutex mutex_;
  Outbox<internal::v1::WorkerMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing is written any more.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_REMOTE_LEASES_H_
