#include "lib/queue/gate.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"

namespace hikyaku::queue {
namespace {

// To whole MiB: an exact byte count would only be noise to the reader.
std::string Size(std::uint64_t bytes) { return absl::StrCat(bytes >> 20, "MiB"); }

}  // namespace

absl::StatusOr<DiskSpace> MeasureDisk(const std::string& path) {
  struct statvfs info;
  if (::statvfs(path.c_str(), &info) != 0) return absl::UnavailableError(std::strerror(errno));
  DiskSpace space;
  space.free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize;
  // btrfs and the like have no fixed number of inodes and report 0 of 0.
  space.free_inodes = info.f_files == 0 ? std::numeric_limits<std::uint64_t>::max() : info.f_favail;
  return space;
}

std::uint64_t MeasureMemory() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  unsigned long long size = 0, resident = 0, shared = 0;
  const int read = std::fscanf(file, "%llu %llu %llu", &size, &resident, &shared);
  std::fclose(file);
  if (read != 3 || resident < shared) return 0;
  return (resident - shared) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void Gate::Set(Cause cause, std::string reason) {
  absl::MutexLock lock(&mu_);
  if (reasons_[cause].empty() != reason.empty()) {
    if (reason.empty()) {
      log::Info("gate_opened", {{"was", reasons_[cause]}});
    } else {
      log::Warn("gate_closed", {{"reason", reason}});
    }
  }
  reasons_[cause] = std::move(reason);
  bool open = true;
  for (const std::string& each : reasons_) open = open && each.empty();
  open_.store(open, std::memory_order_release);
}

void Gate::Judge(const absl::StatusOr<DiskSpace>& disk, std::uint64_t memory, const GateLimits& limits) {
  std::string reason;
  if (!disk.ok()) {
    reason = "disk: cannot be measured";
  } else if (disk->free_bytes < limits.min_free_disk) {
    reason = absl::StrCat("disk: ", Size(disk->free_bytes), " free, ", Size(limits.min_free_disk), " wanted");
  } else if (disk->free_inodes < limits.min_free_inodes) {
    reason = absl::StrCat("disk: ", disk->free_inodes, " inodes free, ", limits.min_free_inodes, " wanted");
  }
  Set(kDisk, std::move(reason));
  Set(kMemory, limits.memory > 0 && memory > limits.memory
                   ? absl::StrCat("memory: ", Size(memory), " used, ", Size(limits.memory), " allowed")
                   : "");
}

absl::Status Gate::Check() const {
  if (open()) return absl::OkStatus();
  absl::MutexLock lock(&mu_);
  for (int cause = 0; cause < kCauses; ++cause) {
    if (reasons_[cause].empty()) continue;
    return cause == kDisk || cause == kMemory ? absl::ResourceExhaustedError(reasons_[cause])
                                              : absl::UnavailableError(reasons_[cause]);
  }
  return absl::OkStatus();
}

std::string Gate::Reason() const { return open() ? std::string() : std::string(Check().message()); }

}  // namespace hikyaku::queue
