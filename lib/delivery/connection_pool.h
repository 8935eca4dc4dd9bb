// Connections that wait for their next message: a kept session saves three round trips and the peer's patience.
//
// Threading:  one pool an io_context; every call is made there.
#ifndef HIKYAKU_LIB_DELIVERY_CONNECTION_POOL_H_
#define HIKYAKU_LIB_DELIVERY_CONNECTION_POOL_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/delivery/broken_tls.h"
#include "lib/delivery/connection.h"
#include "lib/delivery/dead_hosts.h"
#include "lib/net/asio.h"
#include "lib/net/task_group.h"

namespace hikyaku::delivery {

struct PoolOptions {
  int messages_per_connection = 100;
  absl::Duration idle_limit = absl::Seconds(10);
  std::size_t max_idle = 1000;  // Of one pool: bounds file descriptors and memory; the next one is closed.
};

class ConnectionPool {
 public:
  // `group` runs the tasks that say QUIT; it and `clock` outlive the pool.
  ConnectionPool(PoolOptions options, Clock& clock, net::TaskGroup& group, Executor executor);

  // Closes what is idle.
  ~ConnectionPool();

  // The connection that became idle last, or nothing.
  std::unique_ptr<Connection> Take(const ConnectionKey& key);

  // After a transaction: keeps a connection that can take another one, else says QUIT or closes it.
  void Put(std::unique_ptr<Connection> connection);

  // Runs until cancelled: ends connections that are idle for too long. At the end the pool is empty and keeps nothing
  // any more.
  awaitable<void> Sweep();

  // What is known of addresses that do not answer.
  DeadHosts& dead_hosts() { return dead_hosts_; }

  // What is known of hosts whose TLS fails.
  BrokenTls& broken_tls() { return broken_tls_; }

  std::size_t idle() const { return idle_; }

 private:
  void Expire(absl::Time since);
  void SayQuit(std::unique_ptr<Connection> connection);

  const PoolOptions options_;
  Clock& clock_;
  net::TaskGroup& group_;
  const Executor executor_;
  DeadHosts dead_hosts_;
  BrokenTls broken_tls_;
  bool closed_ = false;
  std::size_t idle_ = 0;
  absl::flat_hash_map<ConnectionKey, std::vector<std::unique_ptr<Connection>>> connections_;  // The oldest first.
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_CONNECTION_POOL_H_
