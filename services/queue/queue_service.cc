#include "services/queue/queue_service.h"

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "services/common/grpc_status.h"
#include "services/queue/event_reactor.h"
#include "services/queue/lease_reactor.h"

namespace hikyaku::queue {
namespace {

// One unary call, counted until its answer has left.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  explicit UnaryCall(hikyaku::Gate& gate) : gate_(gate) { gate_.Enter(); }

 private:
  void OnDone() override {
    hikyaku::Gate& gate = gate_;
    delete this;
    gate.Leave();
  }

  hikyaku::Gate& gate_;
};

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
Done<Response> FinishWriteWith(grpc::CallbackServerContext* context, grpc::ServerUnaryReactor* reactor,
                               Response* response) {
  return [context, reactor, response](absl::StatusOr<Response> result) {
    if (result.ok()) {
      *response = *std::move(result);
    } else if (!absl::IsDeadlineExceeded(result.status())) {
      context->AddTrailingMetadata(kNothingWritten, "1");
    }
    reactor->Finish(ToGrpcStatus(result.status()));
  };
}

// A request with others in it: each is a write of its own; the last one that is settled sends the answer of all.
void EnqueueTogether(Shard& shard, internal::v1::EnqueueRequest first, grpc::ServerUnaryReactor* reactor,
                     internal::v1::EnqueueResponse* response) {
  google::protobuf::RepeatedPtrField<internal::v1::EnqueueRequest> more;
  more.Swap(first.mutable_more());
  const int count = 1 + more.size();
  for (int i = 0; i < count; ++i) response->add_results();
  const auto left = std::make_shared<std::atomic<int>>(count);
  for (int i = 0; i < count; ++i) {
    shard.Enqueue(
        i == 0 ? std::move(first) : std::move(more[i - 1]),
        [left, reactor, result = response->mutable_results(i)](absl::StatusOr<internal::v1::EnqueueResponse> settled) {
          if (settled.ok()) {
            result->set_replayed_response(std::move(*settled->mutable_replayed_response()));
          } else {
            result->set_code(static_cast<int>(settled.status().code()));
            result->set_error(std::string(settled.status().message()));
          }
          if (left->fetch_sub(1) == 1) reactor->Finish(grpc::Status::OK);
        });
  }
}

}  // namespace

grpc::ServerUnaryReactor* QueueService::Enqueue(grpc::CallbackServerContext* context,
                                                const internal::v1::EnqueueRequest* request,
                                                internal::v1::EnqueueResponse* response) {
  // gRPC made the request for this call alone and reads it no more: taking it spares a copy of the body.
  auto* taken = const_cast<internal::v1::EnqueueRequest*>(request);
  auto* reactor = new UnaryCall(calls_);
  if (!taken->more().empty()) {
    EnqueueTogether(shard_, std::move(*taken), reactor, response);
  } else {
    shard_.Enqueue(std::move(*taken), FinishWriteWith(context, reactor, response));
  }
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Claim(grpc::CallbackServerContext* context,
                                              const internal::v1::ClaimRequest* request,
                                              internal::v1::ClaimResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.Claim(*request, FinishWriteWith(context, reactor, response));
  return reactor;
}

grpc::ServerBidiReactor<internal::v1::WorkerMessage, internal::v1::ShardMessage>* QueueService::Lease(
    grpc::CallbackServerContext*) {
  return new LeaseReactor(shard_, calls_);  // Deletes itself in OnDone.
}

grpc::ServerUnaryReactor* QueueService::GetMessage(grpc::CallbackServerContext*, const v1::GetMessageRequest* request,
                                                   v1::GetMessageResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.GetMessage(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerWriteReactor<v1::Event>* QueueService::WatchEvents(grpc::CallbackServerContext*,
                                                               const internal::v1::WatchShardRequest* request) {
  return new EventReactor(shard_, calls_, *request);  // Deletes itself in OnDone.
}

grpc::ServerUnaryReactor* QueueService::ListQueues(grpc::CallbackServerContext*, const v1::ListQueuesRequest* request,
                                                   v1::ListQueuesResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.ListQueues(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::ListDeliveries(grpc::CallbackServerContext*,
                                                       const v1::ListDeliveriesRequest* request,
                                                       v1::ListDeliveriesResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.ListDeliveries(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Flush(grpc::CallbackServerContext*, const v1::FlushRequest* request,
                                              v1::FlushResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.Flush(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Suspend(grpc::CallbackServerContext*, const v1::SuspendRequest* request,
                                                v1::SuspendResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.Suspend(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Resume(grpc::CallbackServerContext*, const v1::ResumeRequest* request,
                                               v1::ResumeResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.Resume(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::Purge(grpc::CallbackServerContext*, const v1::PurgeRequest* request,
                                              v1::PurgeResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.Purge(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::SendTlsReports(grpc::CallbackServerContext*,
                                                       const v1::SendTlsReportsRequest* request,
                                                       v1::SendTlsReportsResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.SendTlsReports(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::CheckQueue(grpc::CallbackServerContext*, const v1::CheckQueueRequest*,
                                                   v1::CheckQueueResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.CheckQueue(FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::GetStsPolicy(grpc::CallbackServerContext*,
                                                     const internal::v1::GetStsPolicyRequest* request,
                                                     storage::v1::StsPolicy* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.GetStsPolicy(*request, FinishWith(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* QueueService::PutStsPolicy(grpc::CallbackServerContext*,
                                                     const storage::v1::StsPolicy* request,
                                                     internal::v1::PutStsPolicyResponse* response) {
  auto* reactor = new UnaryCall(calls_);
  shard_.PutStsPolicy(*request, FinishWith(reactor, response));
  return reactor;
}

}  // namespace hikyaku::queue
