#include "lib/submission/commit_delay.h"

#include "lib/metrics/metrics.h"

namespace hikyaku::submission {
namespace {

const std::int64_t kLimitMicros = absl::ToInt64Microseconds(CommitDelay::kLimit);

metrics::Gauge& Waiting() {
  static metrics::Gauge& gauge =
      metrics::DeclareGauge("hikyaku_submission_waiting_messages", "Messages that wait for their commit.");
  return gauge;
}

}  // namespace

void CommitDelay::Begin(absl::Time now) {
  Waiting().Increment();
  if (waiting_.fetch_add(1, std::memory_order_relaxed) > 0) return;
  answered_.store(absl::ToUnixMicros(now), std::memory_order_relaxed);
  waited_.store(0, std::memory_order_relaxed);
}

void CommitDelay::End(absl::Time began, absl::Time now) {
  Waiting().Decrement();
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  answered_.store(absl::ToUnixMicros(now), std::memory_order_relaxed);
  waited_.store(absl::ToInt64Microseconds(now - began), std::memory_order_relaxed);
}

bool CommitDelay::TooLong(absl::Time now) const {
  if (waiting_.load(std::memory_order_relaxed) <= kFew) return false;
  return waited_.load(std::memory_order_relaxed) > kLimitMicros ||
         absl::ToUnixMicros(now) - answered_.load(std::memory_order_relaxed) > kLimitMicros;
}

}  // namespace hikyaku::submission
