// What a load client learns: how many calls were answered, how fast, and what went wrong.
//
// Threading: every method from any thread.
#ifndef BENCH_LOAD_RECORD_H_
#define BENCH_LOAD_RECORD_H_

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace hikyaku::bench {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

// Counts calls that begin (in open loop: should have begun) in the window [from, to).
class LoadRecord {
 public:
  LoadRecord(Time from, Time to) : from_(from), to_(to), micros_(kMost) {}

  Time to() const { return to_; }

  // A call that began at `start` was answered now. An answer counts for the rate when it came in the window.
  void Answered(Time start) {
    const Time now = Clock::now();
    if (now >= from_ && now < to_) answered_.fetch_add(1, std::memory_order_relaxed);
    if (start < from_ || start >= to_) return;
    const std::size_t at = count_.fetch_add(1, std::memory_order_relaxed);
    if (at < kMost) micros_[at] = std::chrono::duration<float, std::micro>(now - start).count();
  }

  // `code`: the number of a gRPC status.
  void Failed(int code, const std::string& why) {
    failed_.fetch_add(1, std::memory_order_relaxed);
    std::lock_guard lock(mutex_);
    ++by_code_[code];
    if (why_.empty()) why_ = why;
  }

  double seconds() const { return std::chrono::duration<double>(to_ - from_).count(); }
  std::uint64_t answered() const { return answered_; }
  std::uint64_t failed() const { return failed_; }
  std::map<int, std::uint64_t> by_code() const {
    std::lock_guard lock(mutex_);
    return by_code_;
  }
  std::string why() const {
    std::lock_guard lock(mutex_);
    return why_;
  }

  // Sorted, when all calls are over.
  std::vector<float> Micros() const {
    std::vector<float> sorted(micros_.begin(), micros_.begin() + std::min<std::size_t>(count_, kMost));
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }

 private:
  static constexpr std::size_t kMost = 4'000'000;  // Latencies kept; more than a minute of the fastest echo.

  const Time from_, to_;
  std::atomic<std::uint64_t> answered_{0}, failed_{0};
  std::atomic<std::size_t> count_{0};
  std::vector<float> micros_;
  mutable std::mutex mutex_;
  std::string why_;
  std::map<int, std::uint64_t> by_code_;
};

}  // namespace hikyaku::bench

#endif  // BENCH_LOAD_RECORD_H_
