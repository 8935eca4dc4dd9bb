// How many connections may be open at once, in all and by client: one count for all the listeners that share it.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_NET_ADMISSION_H_
#define HIKYAKU_LIB_NET_ADMISSION_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "lib/address/literal.h"

namespace hikyaku::net {

// Why a connection was turned away.
enum class Refusal { kTotal, kPerClient };

// A client is an IPv4 address or an IPv6 /64 network: a single customer owns a whole one.
class Admission {
 public:
  // Connections at a time; 0 is no cap.
  struct Caps {
    std::size_t total = 10'000;
    std::size_t per_client = 0;
    // Addresses that per_client does not bind; not set: none. Called from several threads at a time.
    std::function<bool(const address::IpAddress&)> exempt;
  };

  explicit Admission(Caps caps) : caps_(std::move(caps)) {}

  // A place for `client`, to be given back by Leave with the same address; or why there is none.
  std::optional<Refusal> Enter(const address::IpAddress& client);
  void Leave(const address::IpAddress& client);

 private:
  const Caps caps_;
  absl::Mutex mutex_;
  std::size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<address::IpAddress, std::size_t> per_client_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_ADMISSION_H_
