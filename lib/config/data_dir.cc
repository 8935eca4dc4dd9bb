#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/config/validate.h"

namespace hikyaku::config {
namespace {

// The folder that holds `path`.
std::string ParentOf(const std::string& path) {
  const std::size_t end = path.find_last_not_of('/');
  const std::size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::Status CheckDataDir(const v1::Config& config, Role role, const SourceMap& source) {
  if (!HasQueue(role)) return absl::OkStatus();
  const std::string& path = config.data_dir();
  const auto error = [&](absl::string_view what) { return source.Error("data_dir", absl::StrCat(path, " ", what)); };

  struct stat status;
  if (stat(path.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode)) return error("is not a folder: name one");
    // access() also knows of file systems that are mounted read-only.
    if (access(path.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
    return error(absl::StrCat("cannot be written: ", std::strerror(errno), ": give it to the user that runs hikyaku"));
  }
  if (errno != ENOENT) return error(absl::StrCat("cannot be used: ", std::strerror(errno), ": name another folder"));
  const std::string parent = ParentOf(path);
  if (access(parent.c_str(), W_OK | X_OK) == 0) return absl::OkStatus();
  return error(absl::StrCat("cannot be made: ", parent, ": ", std::strerror(errno), ": make the folder first"));
}

}  // namespace hikyaku::config
