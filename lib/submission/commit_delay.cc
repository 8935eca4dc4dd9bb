#include "lib/submission/commit_delay.h"

#include <algorithm>

#include "lib/metrics/metrics.h"

namespace hikyaku::submission {
namespace {

metrics::Gauge& Waiting() {
  static metrics::Gauge& gauge =
      metrics::DeclareGauge("hikyaku_submission_waiting_messages", "Messages that wait for their commit.");
  return gauge;
}

}  // namespace

void CommitDelay::Begin(absl::Time now) {
  Waiting().Increment();
  absl::MutexLock lock(&mutex_);
  if (waiting_++ > 0) return;
  answered_ = now;
  waited_ = absl::ZeroDuration();
}

void CommitDelay::End(absl::Time began, absl::Time now) {
  Waiting().Decrement();
  absl::MutexLock lock(&mutex_);
  --waiting_;
  interval_ += (now - answered_ - interval_) / (kFew / 2);
  answered_ = now;
  waited_ = now - began;
}

bool CommitDelay::TooLong(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  const absl::Duration silence = now - answered_;
  if (waiting_ <= kFew || std::max(waited_, silence) <= kSlow) return false;
  return std::max(waiting_ * interval_, silence) > kLimit;
}

}  // namespace hikyaku::submission
