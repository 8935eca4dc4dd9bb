// When to try again: doubling waits with jitter and a cap.
//
// Source:    RFC 5321 §4.5.4.1 (back off; give up after days, not hours).
// Threading: pure.
#ifndef HIKYAKU_LIB_QUEUE_RETRY_H_
#define HIKYAKU_LIB_QUEUE_RETRY_H_

#include "absl/time/time.h"

namespace hikyaku::queue {

struct RetryPolicy {
  absl::Duration min = absl::Minutes(5);  // After the first failure.
  absl::Duration max = absl::Hours(4);    // The longest wait, before jitter.
  double jitter = 0.2;                    // Each wait is within ± this share of itself: peers see no rhythm.
};

// The wait after `attempts` failed attempts (1 or more); `fraction`, uniform in [0, 1), places it within the jitter.
// Never below policy.min.
absl::Duration RetryDelay(const RetryPolicy& policy, int attempts, double fraction);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_RETRY_H_
