#include "lib/delivery/connection_pool.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "lib/net/sleep.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kSweepEvery = absl::Seconds(1);

awaitable<void> QuitAndClose(std::unique_ptr<Connection> connection) { co_await connection->Quit(); }

}  // namespace

ConnectionPool::ConnectionPool(PoolOptions options, Clock& clock, net::TaskGroup& group, Executor executor)
    : options_(options),
      clock_(clock),
      group_(group),
      executor_(std::move(executor)),
      dead_hosts_(clock),
      broken_tls_(clock) {}

ConnectionPool::~ConnectionPool() = default;

std::unique_ptr<Connection> ConnectionPool::Take(const ConnectionKey& key) {
  const auto found = connections_.find(key);
  if (found == connections_.end()) return nullptr;
  std::unique_ptr<Connection> connection = std::move(found->second.back());
  found->second.pop_back();
  if (found->second.empty()) connections_.erase(found);
  --idle_;
  return connection;
}

void ConnectionPool::Put(std::unique_ptr<Connection> connection) {
  if (!connection->session().reusable()) return;  // Closed by its destructor.
  if (closed_ || connection->messages >= options_.messages_per_connection || idle_ >= options_.max_idle) {
    SayQuit(std::move(connection));
    return;
  }
  connection->idle_since = clock_.Now();
  ++idle_;
  connections_[connection->key()].push_back(std::move(connection));
}

awaitable<void> ConnectionPool::Sweep() {
  for (;;) {
    const absl::Status slept = co_await net::Sleep(kSweepEvery);  // g++ 12 breaks a co_await in a loop's condition.
    if (!slept.ok()) break;
    Expire(clock_.Now() - options_.idle_limit);
  }
  closed_ = true;
  connections_.clear();
  idle_ = 0;
}

// Ends what has been idle since `since` or longer, the oldest first.
void ConnectionPool::Expire(absl::Time since) {
  std::vector<std::unique_ptr<Connection>> ended;
  for (auto entry = connections_.begin(); entry != connections_.end();) {
    auto& idle = entry->second;
    std::size_t old = 0;
    while (old < idle.size() && idle[old]->idle_since <= since) ended.push_back(std::move(idle[old++]));
    idle.erase(idle.begin(), idle.begin() + static_cast<std::ptrdiff_t>(old));
    idle_ -= old;
    if (idle.empty()) {
      connections_.erase(entry++);
    } else {
      ++entry;
    }
  }
  std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) {
    return std::tie(a->idle_since, a->remote()) < std::tie(b->idle_since, b->remote());
  });
  for (auto& connection : ended) SayQuit(std::move(connection));
}

void ConnectionPool::SayQuit(std::unique_ptr<Connection> connection) {
  group_.Spawn(executor_, QuitAndClose(std::move(connection)));
}

}  // namespace hikyaku::delivery
