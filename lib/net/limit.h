// Limits as points of the steady clock, as Asio's timers take them.
#ifndef HIKYAKU_LIB_NET_LIMIT_H_
#define HIKYAKU_LIB_NET_LIMIT_H_

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace hikyaku::net {

// The most that a limit can be: keeps time points far from overflow, and is longer than any wait of ours.
inline constexpr absl::Duration kLongestLimit = absl::Hours(24 * 365);

inline std::chrono::steady_clock::time_point SteadyAfter(absl::Duration limit) {
  const absl::Duration bounded = std::clamp(limit, absl::ZeroDuration(), kLongestLimit);
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(bounded);
}

// What is left until `deadline`; negative when it has passed.
inline absl::Duration LeftUntil(std::chrono::steady_clock::time_point deadline) {
  return absl::FromChrono(deadline - std::chrono::steady_clock::now());
}

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_LIMIT_H_
