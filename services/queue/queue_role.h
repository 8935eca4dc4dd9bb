// The queue role of this process: the shard on this machine's disk and, when other processes use it, its gRPC door.
//
// Threading: every call from one thread.
#ifndef HIKYAKU_SERVICES_QUEUE_QUEUE_ROLE_H_
#define HIKYAKU_SERVICES_QUEUE_QUEUE_ROLE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/base/clock.h"
#include "lib/queue/local_shard.h"
#include "services/common/grpc_server.h"
#include "services/common/internal_tls.h"
#include "services/queue/queue_service.h"

namespace hikyaku::queue {

class QueueRole {
 public:
  // `with_door`: also listen on listeners.internal. Errors as of LocalShard::Open and GrpcServer::Start.
  static absl::StatusOr<std::unique_ptr<QueueRole>> Start(const v1::Config& config, bool with_door, Clock& clock);

  Shard& shard() { return *shard_; }
  const Shard& shard() const { return *shard_; }

  // What of the configuration can change while it runs.
  void Reload(const v1::Config& config);

  // What grpc.health.v1 of the door answers.
  void SetServing(bool serving);

  // As LocalShard::CanRecord.
  bool CanRecord() const { return shard_->CanRecord(); }

  // As LocalShard::Stop: afterwards everything is on disk, the store is closed, and whoever asked has the answer.
  void Stop(absl::Duration patience);

 private:
  QueueRole() = default;

  std::unique_ptr<LocalShard> shard_;
  std::unique_ptr<QueueService> service_;
  std::unique_ptr<InternalTls> tls_;
  std::unique_ptr<GrpcServer> server_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_QUEUE_ROLE_H_
