// How many bytes of messages may be on their way to the disk at once: past it, new mail is refused (452,
// RESOURCE_EXHAUSTED) rather than paid for with memory that is not there.
//
// Threading: MemoryBudget is safe from every thread; a Hold belongs to one owner at a time.
#ifndef HIKYAKU_LIB_SUBMISSION_BUDGET_H_
#define HIKYAKU_LIB_SUBMISSION_BUDGET_H_

#include <atomic>
#include <cstdint>
#include <utility>

namespace hikyaku::submission {

class MemoryBudget {
 public:
  // A share of the budget, given back when it is destroyed. Must not outlive the budget.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { Release(); }

    // Raises the share to `bytes`, if it is smaller. False: there is no room; the share stays as it was.
    bool RaiseTo(std::uint64_t bytes);
    // Gives back what is above `bytes`.
    void LowerTo(std::uint64_t bytes);
    void Release() { LowerTo(0); }

    std::uint64_t bytes() const { return bytes_; }

   private:
    friend class MemoryBudget;
    explicit Hold(MemoryBudget* budget) : budget_(budget) {}

    MemoryBudget* budget_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  explicit MemoryBudget(std::uint64_t limit) : limit_(limit) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // An empty share, to be raised.
  Hold Open() { return Hold(this); }

  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t limit() const { return limit_; }

 private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_BUDGET_H_
