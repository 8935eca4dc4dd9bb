#include "lib/base/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/units.h"

namespace hikyaku {
namespace {

constexpr std::int64_t kNanos = 1'000'000'000;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

 private:
  const int fd_;
};

FileStamp StampFrom(const struct stat& info) {
  FileStamp stamp;
  stamp.device = info.st_dev;
  stamp.inode = info.st_ino;
  stamp.size = info.st_size;
  stamp.mode = info.st_mode;
  stamp.modified_nanos = info.st_mtim.tv_sec * kNanos + info.st_mtim.tv_nsec;
  stamp.changed_nanos = info.st_ctim.tv_sec * kNanos + info.st_ctim.tv_nsec;
  return stamp;
}

absl::Status CannotRead() { return absl::NotFoundError(absl::StrCat("cannot be read: ", std::strerror(errno))); }

}  // namespace

FileStamp StampOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? StampFrom(info) : FileStamp();
}

absl::StatusOr<SmallFile> ReadSmallFile(const std::string& path, std::size_t most) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (file.get() < 0 || fstat(file.get(), &info) != 0) return CannotRead();
  if (!S_ISREG(info.st_mode)) return absl::InvalidArgumentError("is no file");
  if (static_cast<std::size_t>(info.st_size) > most) {
    return absl::InvalidArgumentError(absl::StrCat("is larger than ", FormatSize(most)));
  }
  SmallFile result{std::string(static_cast<std::size_t>(info.st_size), '\0'), StampFrom(info)};
  const ssize_t got = read(file.get(), result.text.data(), result.text.size());
  if (got < 0) return CannotRead();
  result.text.resize(static_cast<std::size_t>(got));
  return result;
}

absl::string_view FirstLine(absl::string_view text) {
  return absl::StripSuffix(text.substr(0, text.find('\n')), "\r");
}

}  // namespace hikyaku
