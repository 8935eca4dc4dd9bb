#include "services/queue/queue_service.h"

#include <utility>

#include "services/common/grpc_status.h"
#include "services/queue/event_reactor.h"
#include "services/queue/lease_reactor.h"

namespace hikyaku::queue {
namespace {

// A callback that puts the value into `response` and ends the call.
template <typename Response>
Done<Response> FinishWith(grpc::ServerUnaryReactor* reactor, Response* response) {
  return [reactor, response](absl::StatusOr<Response> result) {
    if (result.ok()) *response = *std::move(result);
    reactor->Finish(ToGrpcStatus(result.status()));
  };
}

// The same for writes: a refusal says by trailer that nothing was written.
template <typename Response>
Done<Response> FinishWriteWith(grpc::CallbackServerContext* context, Response* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  return [context, reactor, response](absl::StatusOr<Response> result) {
    if (result.ok()) {
      *response = *std::move(result);
    } else if (!absl::IsDeadlineExceeded(result.status())) {
      context->AddTrailingMetadata(kNothingWritten, "1");
    }
    reactor->Finish(ToGrpcStatus(result.status()));
  };
}

}  // namespace

grpc::ServerUnaryReactor* QueueService::Enqueue(grpc::CallbackServerContext* context,
                                                const internal::v1::EnqueueRequest* request,
                                                internal::v1::EnqueueResponse* response) {
  // gRPC made the request for this call alone and reads it no more: taking it spares a copy of the body.
  auto* taken = const_cast<internal::v1::EnqueueRequest*>(request);
  auto* reactor = context->DefaultReactor();
  shard_.Enqueue(std::move(*taken), FinishWriteWith(context, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Claim(grpc::CallbackServerContext* context,
                                              const internal::v1::ClaimRequest* request,
                                              internal::v1::ClaimResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.Claim(*request, FinishWriteWith(context, response));
  return reactor;
}

grpc::ServerBidiReactor<internal::v1::WorkerMessage, internal::v1::ShardMessage>* QueueService::Lease(
    grpc::CallbackServerContext*) {
  return new LeaseReactor(shard_, streams_);  // Deletes itself in OnDone.
}

grpc::ServerUnaryReactor* QueueService::GetMessage(grpc::CallbackServerContext* context,
                                                   const v1::GetMessageRequest* request,
                                                   v1::GetMessageResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.GetMessage(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerWriteReactor<v1::Event>* QueueService::WatchEvents(grpc::CallbackServerContext*,
                                                               const internal::v1::WatchShardRequest* request) {
  return new EventReactor(shard_, streams_, *request);  // Deletes itself in OnDone.
}

grpc::ServerUnaryReactor* QueueService::ListQueues(grpc::CallbackServerContext* context,
                                                   const v1::ListQueuesRequest* request,
                                                   v1::ListQueuesResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.ListQueues(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::ListDeliveries(grpc::CallbackServerContext* context,
                                                       const v1::ListDeliveriesRequest* request,
                                                       v1::ListDeliveriesResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.ListDeliveries(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Flush(grpc::CallbackServerContext* context, const v1::FlushRequest* request,
                                              v1::FlushResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.Flush(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Suspend(grpc::CallbackServerContext* context,
                                                const v1::SuspendRequest* request, v1::SuspendResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.Suspend(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Resume(grpc::CallbackServerContext* context, const v1::ResumeRequest* request,
                                               v1::ResumeResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.Resume(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Purge(grpc::CallbackServerContext* context, const v1::PurgeRequest* request,
                                              v1::PurgeResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.Purge(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::CheckQueue(grpc::CallbackServerContext* context, const v1::CheckQueueRequest*,
                                                   v1::CheckQueueResponse* response) {
  auto* reactor = context->DefaultReactor();
  shard_.CheckQueue(FinishWith(reactor, response));
  return reactor;
}

}  // namespace hikyaku::queue
