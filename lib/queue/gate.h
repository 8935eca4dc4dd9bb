// Whether new mail may come in. Closed while anything is wrong with the disk, the memory or the store; the first true
// reason is shown.
//
// Threading: safe from every thread; reading is one atomic load while the gate is open.
#ifndef HIKYAKU_LIB_QUEUE_GATE_H_
#define HIKYAKU_LIB_QUEUE_GATE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace hikyaku::queue {

struct DiskSpace {
  std::uint64_t free_bytes = 0;
  std::uint64_t free_inodes = 0;  // The maximum where the file system does not count them.
};

// Of the file system that holds `path`, as an unprivileged user could use it.
absl::StatusOr<DiskSpace> MeasureDisk(const std::string& path);

// Resident memory of this process, without what the kernel can drop (page cache is not counted).
std::uint64_t MeasureMemory();

struct GateLimits {
  std::uint64_t min_free_disk = 0;
  std::uint64_t min_free_inodes = 0;
  std::uint64_t memory = 0;  // 0: no limit.
};

class Gate {
 public:
  // In the order in which they are shown.
  enum Cause { kStopping, kStore, kStall, kDisk, kMemory, kCauses };

  // Closes for `cause`; an empty reason opens it again. Reasons are for outsiders: no paths.
  void Set(Cause cause, std::string reason) ABSL_LOCKS_EXCLUDED(mu_);

  // Sets kDisk and kMemory from what was measured.
  void Judge(const absl::StatusOr<DiskSpace>& disk, std::uint64_t memory, const GateLimits& limits);

  bool Closed(Cause cause) const {
    absl::MutexLock lock(&mu_);
    return !reasons_[cause].empty();
  }

  bool open() const { return open_.load(std::memory_order_acquire); }

  // Ok, or why not: kResourceExhausted for disk and memory, kUnavailable for the rest.
  absl::Status Check() const;

  // The reason, or nothing.
  std::string Reason() const;

 private:
  std::atomic<bool> open_{true};
  mutable absl::Mutex mu_;
  std::array<std::string, kCauses> reasons_ ABSL_GUARDED_BY(mu_);
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_GATE_H_
