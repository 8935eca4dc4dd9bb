// Reads the small files that operators keep secrets in (keys, passwords), whole and with a bound, and tells when one
// is not what it was.
//
// By way of symbolic links, as Kubernetes mounts Secrets; never waits for the other end of a pipe.
// Threading: pure functions of the file system.
#ifndef HIKYAKU_LIB_BASE_SMALL_FILE_H_
#define HIKYAKU_LIB_BASE_SMALL_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku {

// Tells one state of a file from another. The default is that of no file.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = -1;
  std::uint32_t mode = 0;
  std::int64_t modified_nanos = 0;
  std::int64_t changed_nanos = 0;

  bool operator==(const FileStamp&) const = default;
};

// Of what `path` leads to now; the default where that is nothing.
FileStamp StampOf(const std::string& path);

struct SmallFile {
  std::string text;
  FileStamp stamp;
};

// Texts begin with a verb, so that they may follow a path. kNotFound: it cannot be read. kInvalidArgument: it is no
// regular file, or larger than `most` bytes.
absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path, std::size_t most);

// Without its end, LF or CRLF.
absl::string_view FirstLine(absl::string_view text);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_SMALL_FILE_H_
