// The delivery role of this process: resolver, dialer and the worker over every shard.
//
// Threading: Start, Reload and Stop from one thread that is none of the pool's.
#ifndef HIKYAKU_SERVICES_DELIVERY_DELIVERY_ROLE_H_
#define HIKYAKU_SERVICES_DELIVERY_DELIVERY_ROLE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/base/clock.h"
#include "lib/delivery/dkim_keys.h"
#include "lib/delivery/worker.h"
#include "lib/dns/resolver.h"
#include "lib/net/io_pool.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

class DeliveryRole {
 public:
  static constexpr absl::Duration kReread = absl::Seconds(2);

  // kInvalidArgument: the configuration; kUnavailable: no DNS channel. `pool` and `shards` outlive the role.
  static absl::StatusOr<std::unique_ptr<DeliveryRole>> Start(net::IoPool& pool, const v1::Config& config,
                                                             std::vector<queue::Shard*> shards, Clock& clock);

  // Takes over routes, egress ranges, TLS and DKIM rows. kInvalidArgument: the old ones stay.
  absl::Status Reload(const v1::Config& config);

  // Takes over DKIM keys whose files have changed. To be called again and again: it looks every kReread.
  void RereadKeys();

  // As Worker::Stop.
  void Stop(absl::Duration patience);

  // The first reason not to count as ready, or nothing: a worker that reaches no shard does no work.
  std::string NotReady() const;

 private:
  explicit DeliveryRole(Clock& clock) : clock_(clock) {}

  Clock& clock_;
  bool believes_resolver_ = false;
  std::shared_ptr<WarmUpLedger> ledger_;
  std::unique_ptr<dns::Resolver> resolver_;
  std::unique_ptr<DkimKeyring> keyring_;
  absl::Time reread_ = absl::InfinitePast();
  std::unique_ptr<Worker> worker_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_SERVICES_DELIVERY_DELIVERY_ROLE_H_
