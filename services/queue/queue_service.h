// The gRPC door of a shard: QueueService over a Shard in this process. For the other parts of the installation only.
//
// Threading: gRPC's threads call in; the shard's threads answer.
// Lifetimes: `shard` outlives the service, and the gRPC server is shut down before either is destroyed.
#ifndef HIKYAKU_SERVICES_QUEUE_QUEUE_SERVICE_H_
#define HIKYAKU_SERVICES_QUEUE_QUEUE_SERVICE_H_

#include <cstddef>

#include "hikyaku/internal/v1/queue.grpc.pb.h"
#include "lib/queue/shard.h"
#include "services/common/gate.h"

namespace hikyaku::queue {

// Trailer of an answer that promises that nothing was written: without it, a caller cannot tell a refusal from a
// connection that broke after the commit.
inline constexpr char kNothingWritten[] = "hikyaku-nothing-written";

// What a message of this service may hold beyond a body of the largest size: envelope and recipients. Both ends of the
// connection must allow the same.
inline constexpr std::size_t kEnvelopeRoom = 4 << 20;

class QueueService final : public internal::v1::QueueService::CallbackService {
 public:
  explicit QueueService(Shard& shard) : shard_(shard) {}
  ~QueueService() override { calls_.Wait(); }

  // After the shard has stopped: until every answer has left, but no longer than `limit`.
  void WaitForAnswers(absl::Duration limit) { calls_.WaitFor(limit); }

  grpc::ServerUnaryReactor* Enqueue(grpc::CallbackServerContext* context, const internal::v1::EnqueueRequest* request,
                                    internal::v1::EnqueueResponse* response) override;
  grpc::ServerUnaryReactor* Claim(grpc::CallbackServerContext* context, const internal::v1::ClaimRequest* request,
                                  internal::v1::ClaimResponse* response) override;
  grpc::ServerBidiReactor<internal::v1::WorkerMessage, internal::v1::ShardMessage>* Lease(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetMessage(grpc::CallbackServerContext* context, const v1::GetMessageRequest* request,
                                       v1::GetMessageResponse* response) override;
  grpc::ServerWriteReactor<v1::Event>* WatchEvents(grpc::CallbackServerContext* context,
                                                   const internal::v1::WatchShardRequest* request) override;
  grpc::ServerUnaryReactor* ListQueues(grpc::CallbackServerContext* context, const v1::ListQueuesRequest* request,
                                       v1::ListQueuesResponse* response) override;
  grpc::ServerUnaryReactor* ListDeliveries(grpc::CallbackServerContext* context,
                                           const v1::ListDeliveriesRequest* request,
                                           v1::ListDeliveriesResponse* response) override;
  grpc::ServerUnaryReactor* Flush(grpc::CallbackServerContext* context, const v1::FlushRequest* request,
                                  v1::FlushResponse* response) override;
  grpc::ServerUnaryReactor* Suspend(grpc::CallbackServerContext* context, const v1::SuspendRequest* request,
                                    v1::SuspendResponse* response) override;
  grpc::ServerUnaryReactor* Resume(grpc::CallbackServerContext* context, const v1::ResumeRequest* request,
                                   v1::ResumeResponse* response) override;
  grpc::ServerUnaryReactor* Purge(grpc::CallbackServerContext* context, const v1::PurgeRequest* request,
                                  v1::PurgeResponse* response) override;
  grpc::ServerUnaryReactor* SendTlsReports(grpc::CallbackServerContext* context,
                                           const v1::SendTlsReportsRequest* request,
                                           v1::SendTlsReportsResponse* response) override;
  grpc::ServerUnaryReactor* CheckQueue(grpc::CallbackServerContext* context, const v1::CheckQueueRequest* request,
                                       v1::CheckQueueResponse* response) override;
  grpc::ServerUnaryReactor* GetStsPolicy(grpc::CallbackServerContext* context,
                                         const internal::v1::GetStsPolicyRequest* request,
                                         storage::v1::StsPolicy* response) override;
  grpc::ServerUnaryReactor* PutStsPolicy(grpc::CallbackServerContext* context, const storage::v1::StsPolicy* request,
                                         internal::v1::PutStsPolicyResponse* response) override;

 private:
  Shard& shard_;
  hikyaku::Gate calls_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_QUEUE_SERVICE_H_
