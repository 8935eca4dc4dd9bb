// A subscription to the events of a shard in another process.
//
// Threading: the sink is called on gRPC's threads, one event at a time. Lifetimes: the stub outlives it.
#ifndef HIKYAKU_SERVICES_QUEUE_REMOTE_EVENTS_H_
#define HIKYAKU_SERVICES_QUEUE_REMOTE_EVENTS_H_

#include "absl/synchronization/notification.h"
#include "grpcpp/alarm.h"
#include "grpcpp/client_context.h"
#include "hikyaku/internal/v1/queue.grpc.pb.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

class RemoteEvents final : public EventSubscription, private grpc::ClientReadReactor<v1::Event> {
 public:
  RemoteEvents(internal::v1::QueueService::Stub& stub, internal::v1::WatchShardRequest request, EventSink sink,
               absl::AnyInvocable<void(absl::Status)> closed);
  ~RemoteEvents() override;

 private:
  void OnReadDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  // Hands the event on; a full sink is asked again after a pause, in which nothing is read: that is the back-pressure.
  void Offer();

  grpc::ClientContext context_;
  const internal::v1::WatchShardRequest request_;
  EventSink sink_;
  absl::AnyInvocable<void(absl::Status)> closed_;
  v1::Event event_;
  grpc::Alarm again_;
  std::atomic<bool> stopping_{false};
  absl::Notification done_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_REMOTE_EVENTS_H_
