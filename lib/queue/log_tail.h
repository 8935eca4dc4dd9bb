// What a power cut left of the newest write-ahead log, told from damage.
//
// Each commit is one record, and the next one is written only after the sync of the one before has returned. So at most
// the last record can be torn, in any way: cut short, pages of zeros or half of a page in it. It was never
// acknowledged, and the start goes on without it. A whole record behind the torn place proves that the place had been
// synced and was damaged later: then nothing may be dropped.
//
// RocksDB tells these apart by the end of the file only: kTolerateCorruptedTailRecords accepts a log that is cut short
// and refuses one with torn pages; kPointInTimeRecovery accepts both, and damage in the middle, too.
//
// Threading: any; reads the whole newest log.
#ifndef HIKYAKU_LIB_QUEUE_LOG_TAIL_H_
#define HIKYAKU_LIB_QUEUE_LOG_TAIL_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace hikyaku::queue {

struct LogTail {
  std::string file;         // Empty: there is no log.
  std::uint64_t whole = 0;  // Up to here the records are whole.
  std::uint64_t size = 0;

  bool torn() const { return whole < size; }
};

// The tail of the newest log in `dir`; if it is torn, the older ones were found to be whole, so that RocksDB may be
// told to stop where a log stops making sense. Errors, and what the caller does next:
//   kDataLoss     A damaged record has whole ones, or a newer log, behind it.  Do not open.
//   kUnavailable  The folder or a log cannot be read.                          Mend the disk.
absl::StatusOr<LogTail> InspectLogs(const std::string& dir);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_LOG_TAIL_H_
