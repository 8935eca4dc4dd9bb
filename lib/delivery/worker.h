// The worker of the delivery role: takes leases from any number of shards, runs one attempt for each, reports verdicts.
//
// Life of a lease here:
//   held ─▶ begun (a transaction is under way) ─▶ reported ─▶ recorded, forgotten
//     │       └─▶ lost (revoked, or its stream ended): nothing is reported, the final dot is not sent
//     └─▶ given back (we are stopping)
//
// Threading: safe from every thread, but Stop and the destructor are not called from a thread of the pool. Attempts run
//            on the threads of `pool`; a lease stays on one of them.
#ifndef HIKYAKU_LIB_DELIVERY_WORKER_H_
#define HIKYAKU_LIB_DELIVERY_WORKER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/delivery/attempt.h"
#include "lib/delivery/connection_pool.h"
#include "lib/delivery/route.h"
#include "lib/dns/resolver.h"
#include "lib/net/dialer.h"
#include "lib/net/egress_guard.h"
#include "lib/net/io_pool.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

struct WorkerOptions {
  std::string name;               // Told to the shards, for their logs: host and process.
  std::size_t concurrency = 500;  // Leases held at once; split evenly over the shards, at least one each.
  AttemptOptions attempt;
  PoolOptions pool;
  absl::Duration reopen_min = absl::Milliseconds(100);  // After a stream ended; doubles up to reopen_max.
  absl::Duration reopen_max = absl::Seconds(5);
};

class Worker {
 public:
  // Takes leases at once. `pool`, `resolver` and `clock` outlive the worker, `shards` outlive Stop.
  Worker(WorkerOptions options, std::vector<queue::Shard*> shards, Network network, net::IoPool& pool,
         dns::Resolver& resolver, Clock& clock);

  // Stop with no patience.
  ~Worker();

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Attempts that begin from now on use this.
  void Update(Network network);

  // Takes no more leases, gives back those that have not begun, waits up to `patience` for the transactions under way,
  // cancels what is left (reported as ambiguous where it is so), waits until the shards have recorded the verdicts, and
  // closes the streams. True if nothing had to be cancelled. Idempotent.
  bool Stop(absl::Duration patience);

  // For who runs the threads of the pool himself, where Stop would wait for ever: cancels everything without a wait, as
  // the end of a process would. Once it has ended, and its streams have, Stop does not wait either.
  void Cancel();
  bool ended() const;

  // Attempts that run now.
  std::size_t in_flight() const;

  // Shards whose lease stream is open. For /readyz.
  std::size_t connected_shards() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_WORKER_H_
