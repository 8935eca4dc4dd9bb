// Store over RocksDB 7.8.
//
// Promises: Write() returns after fdatasync of the write-ahead log. A torn tail of the log (the power went in the
// middle of a write: log_tail.h) is cut off; damage before the tail, and a missing log file other than the newest, stop
// Open with kDataLoss instead of losing commits silently.
#ifndef HIKYAKU_LIB_QUEUE_ROCKS_STORE_H_
#define HIKYAKU_LIB_QUEUE_ROCKS_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

struct RocksOptions {
  std::string dir;  // Made if missing, its parent too.
  std::uint64_t write_buffer = std::uint64_t{32} << 20;
  std::uint64_t block_cache = std::uint64_t{64} << 20;
  bool read_only = false;  // For an offline check: takes no lock and changes nothing.
};

// Errors, and what the caller does next:
//   kFailedPrecondition  Another process has the folder open.  Stop it.
//   kPermissionDenied    The folder cannot be written.         Mend its owner or mode.
//   kDataLoss            Damaged.                              Restore it, or set it aside; nothing was changed.
//   kUnavailable         Other I/O errors.                     Mend the disk.
absl::StatusOr<std::unique_ptr<Store>> OpenRocksStore(RocksOptions options);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_ROCKS_STORE_H_
