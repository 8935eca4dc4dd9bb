// What time it is: one of the four doors to the world, so that tests can turn it.
//
// Threading: safe from every thread.
// Non-goals: waiting. A coroutine waits through lib/net (Sleep), which takes its time from the same door.
#ifndef HIKYAKU_LIB_BASE_CLOCK_H_
#define HIKYAKU_LIB_BASE_CLOCK_H_

#include <atomic>

#include "absl/time/time.h"

namespace hikyaku {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time, which may jump; deadlines at rest are stored in it.
  virtual absl::Time Now() const = 0;

  // The machine's clock. Lives for ever.
  static Clock& System();
};

// A clock that stands still until a test moves it.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000)) : nanos_(absl::ToUnixNanos(start)) {}

  absl::Time Now() const override { return absl::FromUnixNanos(nanos_.load()); }
  void Advance(absl::Duration by) { nanos_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> nanos_;
};

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_CLOCK_H_
