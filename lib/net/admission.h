// How many connections may be open at once, in all and by client, and how fast a client may open new ones: one count
// for all the listeners that share it.
//
// Fairness: a client may hold at most kShare times as many places as are free at that moment. So clients that take all
// they can, however many they are, end up with equal shares, and some places are always left for one who holds none.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_NET_ADMISSION_H_
#define HIKYAKU_LIB_NET_ADMISSION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"

namespace hikyaku::net {

// Why a connection was turned away.
enum class Refusal { kTotal, kPerClient, kRate };

// A client is an IPv4 address or an IPv6 /64 network: a single customer owns a whole one.
class Admission {
 public:
  // Connections at a time, and new ones a second (in bursts of ten seconds' worth); 0 is no cap.
  struct Caps {
    std::size_t total = 10'000;
    std::size_t per_client = 0;
    // Addresses that per_client does not bind; not set: none. Called from several threads at a time.
    std::function<bool(const address::IpAddress&)> exempt;
    std::size_t rate_per_client = 0;
    // The same for rate_per_client.
    std::function<bool(const address::IpAddress&)> rate_exempt;
  };

  static constexpr std::size_t kShare = 4;
  static constexpr int kBurstSeconds = 10;

  explicit Admission(Caps caps) : caps_(std::move(caps)) {}

  // A place for `client`, to be given back by Leave with the same address; or why there is none. `now` of any clock
  // that does not go back by much.
  std::optional<Refusal> Enter(const address::IpAddress& client, absl::Time now);
  void Leave(const address::IpAddress& client);

  // Three quarters of all places are taken: who has a place should not keep it without using it.
  bool crowded() const {
    return caps_.total > 0 && open_.load(std::memory_order_relaxed) >= caps_.total - caps_.total / 4;
  }

 private:
  // New connections that one client may still open.
  struct Bucket {
    address::IpAddress client;
    absl::Time filled = absl::InfinitePast();
    double tokens = 0;
  };

  bool TakeToken(const address::IpAddress& who, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Clients whose rate is known at once. One that meets another's place takes it over: memory is bounded, and an
  // attacker with so many addresses has other ways.
  static constexpr std::size_t kBuckets = 4096;

  const Caps caps_;
  absl::Mutex mutex_;
  std::atomic<std::size_t> open_{0};  // Written under the mutex.
  absl::flat_hash_map<address::IpAddress, std::size_t> per_client_ ABSL_GUARDED_BY(mutex_);
  std::vector<Bucket> buckets_ ABSL_GUARDED_BY(mutex_);  // Empty until a rate is first asked for.
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_ADMISSION_H_
