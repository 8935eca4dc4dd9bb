// The world of one simulated run: virtual time, one queue of what happens next, the random numbers that decide it, and
// the trace of what happened.
//
// Everything that happens is a function of the seed: a run that is repeated gives the same trace, line by line. What
// could break that is the order of a hash map, an address, the machine's clock or its random numbers: none may reach a
// decision.
//
// Threading: one thread, one world at a time.
#ifndef HIKYAKU_TESTS_SIM_WORLD_H_
#define HIKYAKU_TESTS_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/net/virtual_loop.h"

namespace hikyaku::sim {

// SplitMix64: small, and the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t Below(std::uint64_t bound) { return Next() % bound; }
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  bool Chance(double probability) { return Fraction() < probability; }
  absl::Duration Between(absl::Duration low, absl::Duration high) { return low + (high - low) * Fraction(); }

 private:
  std::uint64_t state_;
};

class World {
 public:
  // 40 seconds before midnight, UTC: most runs go on into the next day.
  static constexpr absl::Time kStart = absl::FromUnixSeconds(1'800'057'560);

  // `print`: the trace also goes to standard output.
  World(std::uint64_t seed, bool print);
  ~World();

  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Executor executor() { return loop_.executor(); }
  absl::Duration now() const { return loop_.now(); }
  // The right time, which the clocks of nodes may miss.
  absl::Time wall() const { return kStart + leapt_ + loop_.now(); }

  // From now on it is so much later, by every clock, and nothing has happened meanwhile.
  void Leap(absl::Duration time);

  // `event` happens after `delay`; of two at one time, the one that was asked for first.
  void After(absl::Duration delay, absl::AnyInvocable<void()> event);

  // Runs what is ready on the loop, without moving time.
  void Settle() { loop_.RunReady(); }

  // Called after each event, when nothing is ready: nodes note there what waits in them.
  void OnEachStep(std::function<void()> look) { looks_.push_back(std::move(look)); }

  // Goes on until `done`, which is asked after each event, or until `end`. False: `end` came.
  bool RunUntil(absl::Duration end, const std::function<bool()>& done);

  template <typename... Parts>
  void Trace(const Parts&... parts) {
    TraceLine(absl::StrCat(absl::ToInt64Microseconds(now()), " ", parts...));
  }
  std::uint64_t trace_hash() const { return hash_; }
  std::uint64_t events() const { return count_; }

  Random random;  // Of what the world decides. Numbers of the product come from another sequence.

 private:
  void TraceLine(const std::string& line);
  void Look();

  net::VirtualLoop loop_;
  absl::Duration leapt_;
  const bool print_;
  std::map<std::pair<absl::Duration, std::uint64_t>, absl::AnyInvocable<void()>> queue_;
  std::vector<std::function<void()>> looks_;
  std::uint64_t count_ = 0;
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

// The clock of one node, which can be wrong.
class NodeClock : public Clock {
 public:
  explicit NodeClock(const World& world) : world_(world) {}

  absl::Time Now() const override { return world_.wall() + offset; }

  absl::Duration offset;

 private:
  const World& world_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_WORLD_H_
