#include "lib/queue/retry.h"

#include <algorithm>

namespace hikyaku::queue {

absl::Duration RetryDelay(const RetryPolicy& policy, int attempts, double fraction) {
  absl::Duration wait = policy.min;
  for (int i = 1; i < attempts && wait < policy.max; ++i) wait *= 2;
  wait = std::min(wait, policy.max);
  return std::max(policy.min, wait * (1.0 + policy.jitter * (2.0 * fraction - 1.0)));
}

}  // namespace hikyaku::queue
