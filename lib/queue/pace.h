// How many connections a domain may have at once: few at first, more with each success, none for a while when nothing
// works. So a small receiver is not overrun by the first burst, and a dead one costs a try now and then, not one for
// each mail that waits for it.
//
//   Pace pace(policy);
//   pace.Limit()                        connections now
//   pace.Succeeded(20);                 the peer spoke to us: one more, up to 20
//   if (auto wait = pace.Failed()) …    nothing for so many microseconds; then one, as a probe
//
// Non-goals: when one delivery is tried again: see retry.h.
// Threading: none of its own.
#ifndef HIKYAKU_LIB_QUEUE_PACE_H_
#define HIKYAKU_LIB_QUEUE_PACE_H_

#include <algorithm>
#include <cstdint>

namespace hikyaku::queue {

struct PacePolicy {
  std::uint32_t first = 5;                  // Connections to a domain of which nothing is known.
  std::uint32_t failures = 5;               // In a row, after which it gets a rest.
  std::int64_t shortest_pause = 1'000'000;  // Micros: the first rest; each further one is twice as long,
  std::int64_t longest_pause = 60'000'000;  // up to this.
};

class Pace {
 public:
  std::uint32_t Limit(const PacePolicy& policy) const { return limit_ != 0 ? limit_ : std::max(policy.first, 1u); }

  // Doubles with each round of attempts.
  void Succeeded(const PacePolicy& policy, std::uint32_t most) {
    failures_ = pauses_ = 0;
    if (const std::uint32_t limit = Limit(policy); limit < most) limit_ = limit + 1;
  }

  // An attempt found nobody to speak to. Micros to rest; 0: none.
  std::int64_t Failed(const PacePolicy& policy) {
    if (++failures_ < policy.failures) return 0;
    limit_ = 1;
    const std::int64_t pause =
        std::min(policy.shortest_pause << std::min<std::uint32_t>(pauses_, 16), policy.longest_pause);
    ++pauses_;
    return pause;
  }

  // What was learnt of a domain that had nothing to do for a while.
  void Start(std::uint32_t limit) { limit_ = limit; }
  bool proven(const PacePolicy& policy) const { return limit_ > policy.first; }

 private:
  std::uint32_t limit_ = 0;  // 0: the first.
  std::uint32_t failures_ = 0;
  std::uint32_t pauses_ = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_PACE_H_
