#include "lib/base/clock.h"

#include "absl/time/clock.h"

namespace hikyaku {
namespace {

class SystemClock : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
};

}  // namespace

Clock& Clock::System() {
  static SystemClock* clock = new SystemClock;  // Never destroyed: threads may outlive main.
  return *clock;
}

}  // namespace hikyaku
