// A few threads that do what may wait for the disk: reads for leases and questions. With none, the work is done in
// Step().
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_QUEUE_WORK_POOL_H_
#define HIKYAKU_LIB_QUEUE_WORK_POOL_H_

#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace hikyaku::queue {

class WorkPool {
 public:
  explicit WorkPool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
  }
  ~WorkPool() { Stop(); }

  // Runs `work` later; at once, in the caller's thread, after Stop().
  void Push(absl::AnyInvocable<void()> work) {
    {
      absl::MutexLock lock(&mu_);
      if (!stopping_) {
        waiting_.push_back(std::move(work));
        return;
      }
    }
    work();
  }

  // Does all that was pushed, then ends.
  void Stop() {
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
    if (threads_.empty()) Run();
  }

  // Of a pool without threads: whether something waits, and what one thread would do next.
  bool Waits() const {
    absl::MutexLock lock(&mu_);
    return !waiting_.empty();
  }
  void Step() {
    if (Waits()) Next()();
  }

 private:
  void Run() {
    while (absl::AnyInvocable<void()> work = Next()) work();
  }

  // Waits for the next; empty: stopping, and nothing is left.
  absl::AnyInvocable<void()> Next() {
    absl::MutexLock lock(&mu_);
    const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || !waiting_.empty(); };
    mu_.Await(absl::Condition(&something));
    if (waiting_.empty()) return nullptr;
    absl::AnyInvocable<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    return work;
  }

  mutable absl::Mutex mu_;
  std::deque<absl::AnyInvocable<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_WORK_POOL_H_
