#include "services/queue/queue_role.h"

#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/config/duration.h"
#include "services/queue/memory_limit.h"

namespace hikyaku::queue {
namespace {

// Of one front-end: each mail that waits for its commit is one, and many share a commit.
constexpr int kStreams = 1000;

// For the last answers to leave, once nothing new is done; calls that come now are refused at once.
constexpr absl::Duration kAnswersMayTake = absl::Seconds(1);

ReportPolicy ReportsFrom(const v1::Config& config) {
  ReportPolicy policy;
  policy.hostname = config.hostname();
  policy.from = config.reports().from();
  policy.delay_after = config::ToDuration(config.reports().delay_after());
  policy.headers_only_over = config.reports().headers_only_over().bytes();
  const v1::TlsReports& tls = config.reports().tls();
  policy.tls = {tls.from(), tls.organization(), tls.contact()};
  return policy;
}

Options OptionsFrom(const v1::Config& config) {
  const v1::Queue& queue = config.queue();
  Options options;
  options.data_dir = config.data_dir();
  options.name = queue.name();
  options.lifetime = config::ToDuration(queue.lifetime());
  options.retry.min = config::ToDuration(queue.retry().min());
  options.retry.max = config::ToDuration(queue.retry().max());
  options.retry.jitter = queue.retry().jitter();
  options.domain_concurrency = queue.domain_concurrency();
  options.lease_timeout = config::ToDuration(queue.lease_timeout());
  options.min_free_disk = queue.min_free_disk().bytes();
  options.min_free_inodes = queue.min_free_inodes();
  options.event_retention = config::ToDuration(queue.event_retention());
  options.hot_bodies = queue.hot_bodies().bytes();
  options.window = queue.window();
  options.write_buffer = queue.write_buffer().bytes();
  options.block_cache = queue.block_cache().bytes();
  options.memory_limit = MemoryLimit(MachineMemory());
  options.pending_bytes = config.limits().memory().bytes();
  options.reports = ReportsFrom(config);
  return options;
}

GrpcServerOptions DoorFrom(const v1::Config& config, const InternalTls& tls) {
  GrpcServerOptions options;
  options.credentials = tls.Server();
  for (const v1::GrpcListener& listener : config.listeners().internal())
    options.addresses.push_back(listener.address());
  options.max_message = config.limits().message_size().bytes() + kEnvelopeRoom;
  options.for_our_own = true;
  options.connections.total = 0;
  options.memory = config.limits().memory().bytes();
  options.max_streams = kStreams;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueueRole>> QueueRole::Start(const v1::Config& config, bool with_door, Clock& clock) {
  std::unique_ptr<QueueRole> role(new QueueRole);
  ASSIGN_OR_RETURN(role->shard_, LocalShard::Open(OptionsFrom(config), clock));
  if (!with_door) return role;
  role->service_ = std::make_unique<QueueService>(*role->shard_);
  role->tls_ = std::make_unique<InternalTls>(config);
  ASSIGN_OR_RETURN(role->server_, GrpcServer::Start(DoorFrom(config, *role->tls_), {role->service_.get()}));
  return role;
}

void QueueRole::Reload(const v1::Config& config) {
  shard_->Reconfigure(config::ToDuration(config.queue().lifetime()), config.queue().domain_concurrency(),
                      ReportsFrom(config));
}

void QueueRole::SetServing(bool serving) {
  if (server_ != nullptr) server_->SetServing(serving);
}

void QueueRole::Stop(absl::Duration patience) {
  shard_->Stop(patience);
  if (service_ != nullptr) service_->WaitForAnswers(kAnswersMayTake);
}

}  // namespace hikyaku::queue
