// One process of Hikyaku: the roles that it has, wired together, with its readiness and its end.
//
// Threading: every call from one thread, but NotReady, which is safe from every thread.
#ifndef HIKYAKU_SERVICES_HIKYAKU_NODE_H_
#define HIKYAKU_SERVICES_HIKYAKU_NODE_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/base/clock.h"
#include "lib/config/role.h"
#include "lib/net/io_pool.h"
#include "lib/queue/shard.h"
#include "services/common/internal_tls.h"
#include "services/delivery/delivery_role.h"
#include "services/http/http_server.h"
#include "services/queue/queue_role.h"
#include "services/submission/submission_role.h"

namespace hikyaku::cli {

class Node {
 public:
  // SIGTERM must end in a clean exit within 30 s: so long do transactions that run get to finish.
  static constexpr absl::Duration kPatience = absl::Seconds(20);
  // Of these, for clients in the middle of a mail.
  static constexpr absl::Duration kFrontPatience = absl::Seconds(8);

  // Starts the queue first and the doors to the outside last. The status names what could not start.
  static absl::StatusOr<std::unique_ptr<Node>> Start(const v1::Config& config, config::Role role, Clock& clock);

  // Takes over what can change while it runs: routes, egress ranges, DKIM rows, trusted networks, lifetime,
  // domain concurrency.
  absl::Status Reload(const v1::Config& config);

  // Takes over DKIM keys whose files have changed. Call a few times a second, from the thread of Reload.
  void RereadKeys();

  // The first reason why this process should get no work, or nothing. For /readyz; costs no I/O.
  std::string NotReady() const;

  // Tells gRPC's health services what NotReady says. Call a few times a second.
  void PublishHealth();

  // Stops in the order in which mail flows: no new mail, mail under way becomes durable, attempts finish, the store
  // closes.
  void Stop();

 private:
  Node() = default;

  absl::Status StartRoles(const v1::Config& config, config::Role role, Clock& clock);
  std::vector<queue::Shard*> ConnectShards(const v1::Config& config);

  std::atomic<bool> started_{false};
  std::atomic<bool> stopping_{false};
  // In the order of their birth: each uses only those above it.
  std::unique_ptr<net::IoPool> pool_;
  std::vector<std::unique_ptr<http::HttpServer>> http_;
  std::unique_ptr<queue::QueueRole> queue_;
  std::unique_ptr<InternalTls> tls_;
  std::vector<std::unique_ptr<queue::Shard>> remote_shards_;
  std::unique_ptr<delivery::DeliveryRole> delivery_;
  std::unique_ptr<submission::SubmissionRole> submission_;
};

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_NODE_H_
