#include "services/queue/memory_limit.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hikyaku::queue {
namespace {

// Nothing: no such file, or no limit ("max").
std::optional<std::uint64_t> ReadLimit(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::uint64_t bytes;
  if (!(file >> text) || !absl::SimpleAtoi(text, &bytes) || bytes == 0) return std::nullopt;
  return bytes;
}

// The least limit from `group` up to the top. In a container the path may be that of the host, while its own group is
// mounted at the top: names that are not there are passed over.
std::uint64_t LeastLimit(const std::string& mount, std::string group, const char* file, std::uint64_t least) {
  while (true) {
    if (const auto limit = ReadLimit(absl::StrCat(mount, group, "/", file))) least = std::min(least, *limit);
    const std::size_t slash = group.rfind('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

}  // namespace

std::uint64_t MemoryLimit(std::uint64_t machine_bytes, const std::string& root) {
  std::uint64_t least = machine_bytes;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "0::/a/b" (version 2), "4:cpu,memory:/a/b" (version 1).
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const std::string group = parts[2] == "/" ? "" : parts[2];
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (parts[1].empty()) {
      least = LeastLimit(root + "/sys/fs/cgroup", group, "memory.max", least);
    } else if (std::find(controllers.begin(), controllers.end(), "memory") != controllers.end()) {
      least = LeastLimit(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", least);
    }
  }
  return least / 5 * 4;
}

std::uint64_t MachineMemory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  return pages <= 0 ? 0 : static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace hikyaku::queue
