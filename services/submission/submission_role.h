// The submission role of this process: both front-ends, SMTP and gRPC, over the shards.
//
// Threading: Start, Reload and Stop from one thread that is none of the pool's; NotReady from every thread.
#ifndef HIKYAKU_SERVICES_SUBMISSION_SUBMISSION_ROLE_H_
#define HIKYAKU_SERVICES_SUBMISSION_SUBMISSION_ROLE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/base/clock.h"
#include "lib/net/io_pool.h"
#include "lib/queue/shard.h"
#include "lib/submission/accept.h"
#include "lib/submission/budget.h"
#include "lib/submission/cluster.h"
#include "lib/submission/send_mail.h"
#include "services/common/grpc_server.h"
#include "services/submission/admin_service.h"
#include "services/submission/call_gate.h"
#include "services/submission/mail_service.h"
#include "services/submission/reloadable_policy.h"
#include "services/submission/smtp_server.h"

namespace hikyaku::submission {

class SubmissionRole {
 public:
  // Errors as of SmtpServer::Start and GrpcServer::Start. `pool`, `shards` and `clock` outlive the role.
  static absl::StatusOr<std::unique_ptr<SubmissionRole>> Start(net::IoPool& pool, const v1::Config& config,
                                                               std::vector<queue::Shard*> shards, Clock& clock);

  // Takes over trusted networks, and the routes and ranges that open address literals.
  // kInvalidArgument: something may have been taken over already; the rest is as before.
  absl::Status Reload(const v1::Config& config);

  // What grpc.health.v1 answers.
  void SetServing(bool serving);

  // Takes no more mail, and answers what it has taken. Bounded by `patience`.
  void Stop(absl::Duration patience);

  // Not ready when no shard takes mail: the first one's reason.
  std::string NotReady() const;

 private:
  SubmissionRole(const v1::Config& config, std::vector<queue::Shard*> shards, Clock& clock);

  // In the order of their birth: each uses only those above it.
  Cluster cluster_;
  ReloadablePolicy policy_;
  MemoryBudget budget_;
  ShardAcceptor acceptor_;
  MailSender sender_;
  CallGate gate_;
  MailService mail_service_;
  AdminService admin_service_;
  std::unique_ptr<SmtpServer> smtp_;
  std::unique_ptr<GrpcServer> grpc_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_SUBMISSION_ROLE_H_
