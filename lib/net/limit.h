// Limits as points of the steady clock, as timers take them.
#ifndef HIKYAKU_LIB_NET_LIMIT_H_
#define HIKYAKU_LIB_NET_LIMIT_H_

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"
#include "lib/net/timer.h"

namespace hikyaku::net {

// The most that a limit can be: keeps time points far from overflow, and is longer than any wait of ours.
inline constexpr absl::Duration kLongestLimit = absl::Hours(24 * 365);

inline TimePoint SteadyAfter(absl::Duration limit) {
  const absl::Duration bounded = std::clamp(limit, absl::ZeroDuration(), kLongestLimit);
  return SteadyClock::now() + absl::ToChronoNanoseconds(bounded);
}

// What is left until `deadline`; negative when it has passed.
inline absl::Duration LeftUntil(TimePoint deadline) { return absl::FromChrono(deadline - SteadyClock::now()); }

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_LIMIT_H_
