#include "services/submission/submission_role.h"

#include <utility>

#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "services/submission/smtp_settings.h"

namespace hikyaku::submission {
namespace {

// At once, shared among clients as net::Admission says.
constexpr std::size_t kGrpcConnections = 2000;

RequestLimits LimitsFrom(const v1::Config& config) {
  RequestLimits limits;
  limits.recipients = config.limits().recipients();
  return limits;
}

GrpcServerOptions GrpcFrom(const v1::Config& config) {
  GrpcServerOptions options;
  for (const v1::GrpcListener& listener : config.listeners().grpc()) options.addresses.push_back(listener.address());
  options.max_message = static_cast<std::size_t>(MaxRequestBytes(config.limits().message_size().bytes()));
  options.memory = config.limits().memory().bytes() / 2;  // It may come to twice as much.
  options.connections.total = kGrpcConnections;
  options.connections.per_client = config.limits().connections_per_client();
  options.health_names = {v1::MailService::service_full_name(), v1::AdminService::service_full_name()};
  return options;
}

}  // namespace

SubmissionRole::SubmissionRole(const v1::Config& config, std::vector<queue::Shard*> shards, Clock& clock)
    : cluster_(std::move(shards)),
      budget_(config.limits().memory().bytes()),
      acceptor_(&cluster_, &clock),
      sender_({&acceptor_, &policy_, &budget_, &clock}, LimitsFrom(config), AssembleOptionsFrom(config)),
      mail_service_(&sender_, &cluster_, &gate_),
      admin_service_(&cluster_, &gate_) {}

absl::StatusOr<std::unique_ptr<SubmissionRole>> SubmissionRole::Start(net::IoPool& pool, const v1::Config& config,
                                                                      std::vector<queue::Shard*> shards, Clock& clock) {
  std::unique_ptr<SubmissionRole> role(new SubmissionRole(config, std::move(shards), clock));
  RETURN_IF_ERROR(role->policy_.Load(config));
  ASSIGN_OR_RETURN(role->smtp_,
                   SmtpServer::Start(pool, config, {&role->acceptor_, &role->policy_, &role->budget_, &clock}));
  if (config.listeners().grpc().empty()) return role;
  ASSIGN_OR_RETURN(role->grpc_, GrpcServer::Start(GrpcFrom(config), {&role->mail_service_, &role->admin_service_}));
  return role;
}

absl::Status SubmissionRole::Reload(const v1::Config& config) {
  RETURN_IF_ERROR(policy_.Load(config));
  RETURN_IF_ERROR(smtp_->Reload(config));
  return absl::OkStatus();
}

void SubmissionRole::SetServing(bool serving) {
  if (grpc_ != nullptr) grpc_->SetServing(serving);
}

void SubmissionRole::Stop(absl::Duration patience) {
  const absl::Time deadline = absl::Now() + patience;
  gate_.Close();  // New calls are refused while the sessions end.
  smtp_->Stop(patience);
  gate_.WaitUntilEmpty(deadline - absl::Now());
}

std::string SubmissionRole::NotReady() const {
  std::string first;
  for (const queue::Shard* shard : cluster_.shards()) {
    std::string reason = shard->NotReady();
    if (reason.empty()) return "";
    if (first.empty()) first = std::move(reason);
  }
  return first;
}

}  // namespace hikyaku::submission
