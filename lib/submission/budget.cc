#include "lib/submission/budget.h"

#include "lib/base/check.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::submission {
namespace {

metrics::Gauge& InFlight() {
  static metrics::Gauge& gauge = metrics::DeclareGauge("hikyaku_submission_in_flight_bytes",
                                                       "Bytes of messages being received or waiting for their commit.");
  return gauge;
}

}  // namespace

MemoryBudget::Hold& MemoryBudget::Hold::operator=(Hold&& other) noexcept {
  if (this == &other) return *this;
  Release();
  budget_ = std::exchange(other.budget_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

bool MemoryBudget::Hold::RaiseTo(std::uint64_t bytes) {
  HIKYAKU_CHECK(budget_ != nullptr);
  if (bytes <= bytes_) return true;
  const std::uint64_t more = bytes - bytes_;
  std::uint64_t used = budget_->used_.load(std::memory_order_relaxed);
  do {
    if (more > budget_->limit_ || used > budget_->limit_ - more) return false;
  } while (!budget_->used_.compare_exchange_weak(used, used + more, std::memory_order_relaxed));
  bytes_ = bytes;
  InFlight().Increment(static_cast<double>(more));
  return true;
}

void MemoryBudget::Hold::LowerTo(std::uint64_t bytes) {
  if (bytes >= bytes_) return;
  const std::uint64_t less = bytes_ - bytes;
  budget_->used_.fetch_sub(less, std::memory_order_relaxed);
  InFlight().Decrement(static_cast<double>(less));
  bytes_ = bytes;
}

}  // namespace hikyaku::submission
