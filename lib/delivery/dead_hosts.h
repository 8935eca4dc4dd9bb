// Addresses that did not answer a connection lately. Finding that out takes a worker's slot for half a minute; while it
// is remembered, mail for the same address fails at once with the same reason. One that refuses at once costs nothing
// and is not remembered.
//
// An address is remembered for as long as it took to find out. Then one attempt tries it again, and the others go on
// failing until that one has its answer: a host that is gone costs one slot, whatever waits for it and of how many
// domains.
//
// Threading: none of its own; each io_context has one.
#ifndef HIKYAKU_LIB_DELIVERY_DEAD_HOSTS_H_
#define HIKYAKU_LIB_DELIVERY_DEAD_HOSTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/net/endpoint.h"

namespace hikyaku::delivery {

class DeadHosts {
 public:
  explicit DeadHosts(Clock& clock) : clock_(clock) {}

  // Why `endpoint` is not to be tried now. Nothing: try it, and tell the result.
  std::optional<absl::Status> Ask(const net::Endpoint& endpoint);

  void Failed(const net::Endpoint& endpoint, const absl::Status& why, absl::Duration took);
  void Answered(const net::Endpoint& endpoint);

  std::size_t size() const { return hosts_.size(); }

 private:
  struct Host {
    absl::Status why;
    absl::Duration took;
    absl::Time until;
  };
  using Key = std::pair<address::IpAddress, std::uint16_t>;

  void MakeRoom();

  Clock& clock_;
  absl::flat_hash_map<Key, Host> hosts_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_DEAD_HOSTS_H_
