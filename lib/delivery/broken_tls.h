// Hosts that offer TLS but fail at its handshake: without a memory of them each attempt would find it out anew, and
// each message would wait as the first one did.
//
// Bounded: past kMostHosts, those that are over go first.
//
// Threading: none of its own; each io_context has one.
#ifndef HIKYAKU_LIB_DELIVERY_BROKEN_TLS_H_
#define HIKYAKU_LIB_DELIVERY_BROKEN_TLS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"

namespace hikyaku::delivery {

class BrokenTls {
 public:
  static constexpr std::size_t kMostHosts = 10'000;

  explicit BrokenTls(Clock& clock) : clock_(clock) {}

  // When `host`'s handshakes began to fail, if the last failure is not longer ago than `memory`.
  std::optional<absl::Time> Since(const std::string& host, absl::Duration memory);

  void Failed(const std::string& host);
  void Worked(const std::string& host) { hosts_.erase(host); }

  std::size_t size() const { return hosts_.size(); }

 private:
  struct Host {
    absl::Time first;
    absl::Time last;
  };

  Clock& clock_;
  absl::flat_hash_map<std::string, Host> hosts_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_BROKEN_TLS_H_
