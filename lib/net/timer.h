// The clock of every limit and every sleep, and the timer on it: steady, so that no jump of the wall clock moves a
// limit.
//
// It has a door for the simulation: with a VirtualTime installed, time stands still until the simulation moves it, and
// no timer fires by itself (virtual_loop.h).
//
// Threading: safe from every thread; a VirtualTime belongs to the one thread that simulates.
#ifndef HIKYAKU_LIB_NET_TIMER_H_
#define HIKYAKU_LIB_NET_TIMER_H_

#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>

#include "lib/net/asio.h"

namespace hikyaku::net {

// Since an arbitrary start.
struct VirtualTime {
  std::chrono::nanoseconds now{0};
  std::chrono::nanoseconds next = std::chrono::nanoseconds::max();  // A timer may be due then, and none before.

  // Null: the machine's time.
  static inline std::atomic<VirtualTime*> installed{nullptr};
};

struct SteadyClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<SteadyClock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    const VirtualTime* time = VirtualTime::installed.load(std::memory_order_relaxed);
    return time_point(time != nullptr ? time->now : std::chrono::steady_clock::now().time_since_epoch());
  }
};

using TimePoint = SteadyClock::time_point;

// Asio asks how long to wait for the earliest timer: so virtual time learns of it. The wait itself is then so long that
// it never ends, but for a timer set to TimePoint::min(), which is how the simulation says that time has moved.
struct TimerTraits {
  static SteadyClock::duration to_wait_duration(const SteadyClock::duration& left) {
    VirtualTime* const time = VirtualTime::installed.load(std::memory_order_relaxed);
    if (time == nullptr) return left;
    if (left < -std::chrono::hours(24)) return SteadyClock::duration::zero();
    time->next = time->now + left;
    return std::chrono::hours(24);
  }
  static SteadyClock::duration to_wait_duration(const TimePoint& until) {
    return to_wait_duration(until - SteadyClock::now());
  }
};

using Timer = asio::basic_waitable_timer<SteadyClock, TimerTraits>;

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_TIMER_H_
