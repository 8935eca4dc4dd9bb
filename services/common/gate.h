// Counts what is still running, so that its owner can wait for it before what it uses goes away.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_SERVICES_COMMON_GATE_H_
#define HIKYAKU_SERVICES_COMMON_GATE_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/base/check.h"

namespace hikyaku {

class Gate {
 public:
  ~Gate() { HIKYAKU_CHECK(running_ == 0); }

  void Enter() {
    absl::MutexLock lock(&mutex_);
    ++running_;
  }

  // The last use of the gate by its caller: Wait may return at once.
  void Leave() {
    absl::MutexLock lock(&mutex_);
    --running_;
  }

  // Returns when as many have left as have entered.
  void Wait() {
    absl::MutexLock lock(&mutex_, absl::Condition(+[](int* running) { return *running == 0; }, &running_));
  }

  // The same, but for `limit` at the most. False: some are still in.
  bool WaitFor(absl::Duration limit) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(+[](int* running) { return *running == 0; }, &running_), limit);
  }

 private:
  absl::Mutex mutex_;
  int running_ = 0;
};

}  // namespace hikyaku

#endif  // HIKYAKU_SERVICES_COMMON_GATE_H_
