// hikyaku.v1.AdminService: each question goes to every shard, the answers are merged.
//
// Threading: gRPC calls the methods on its threads. Stop: with the MailService, by the same gate.
#ifndef HIKYAKU_SERVICES_SUBMISSION_ADMIN_SERVICE_H_
#define HIKYAKU_SERVICES_SUBMISSION_ADMIN_SERVICE_H_

#include "hikyaku/v1/admin.grpc.pb.h"
#include "lib/submission/cluster.h"
#include "services/submission/call_gate.h"

namespace hikyaku::submission {

class AdminService : public v1::AdminService::CallbackService {
 public:
  // Both outlive the service.
  AdminService(const Cluster* cluster, CallGate* gate) : cluster_(cluster), gate_(gate) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ListQueues(Context*, const v1::ListQueuesRequest*, v1::ListQueuesResponse*) override;
  Reactor* ListDeliveries(Context*, const v1::ListDeliveriesRequest*, v1::ListDeliveriesResponse*) override;
  Reactor* Flush(Context*, const v1::FlushRequest*, v1::FlushResponse*) override;
  Reactor* Suspend(Context*, const v1::SuspendRequest*, v1::SuspendResponse*) override;
  Reactor* Resume(Context*, const v1::ResumeRequest*, v1::ResumeResponse*) override;
  Reactor* Purge(Context*, const v1::PurgeRequest*, v1::PurgeResponse*) override;
  Reactor* SendTlsReports(Context*, const v1::SendTlsReportsRequest*, v1::SendTlsReportsResponse*) override;
  Reactor* CheckQueue(Context*, const v1::CheckQueueRequest*, v1::CheckQueueResponse*) override;

  Reactor* ListSuppressions(Context*, const v1::ListSuppressionsRequest*, v1::ListSuppressionsResponse*) override;
  Reactor* AddSuppression(Context*, const v1::AddSuppressionRequest*, v1::AddSuppressionResponse*) override;
  Reactor* RemoveSuppression(Context*, const v1::RemoveSuppressionRequest*, v1::RemoveSuppressionResponse*) override;
  Reactor* Explain(Context*, const v1::ExplainRequest*, v1::ExplainResponse*) override;

 private:
  template <typename Response, typename Ask, typename Merge>
  Reactor* AskAll(Context* context, Response* response, Ask ask, Merge merge);

  const Cluster* const cluster_;
  CallGate* const gate_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_ADMIN_SERVICE_H_
