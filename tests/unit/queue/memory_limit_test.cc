#include "services/queue/memory_limit.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::queue {
namespace {

constexpr std::uint64_t kMachine = 10'000;

struct Row {
  const char* name;
  std::map<std::string, std::string> files;
  std::uint64_t limit;
};

TEST(MemoryLimit, IsFourFifthsOfTheLeast) {
  const std::vector<Row> rows = {
      {"no control groups", {}, 8000},
      {"version 2, no limit", {{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/memory.max", "max\n"}}, 8000},
      {"version 2, own", {{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/memory.max", "5000\n"}}, 4000},
      {"version 2, of one above",
       {{"/proc/self/cgroup", "0::/a/b\n"},
        {"/sys/fs/cgroup/a/memory.max", "1000\n"},
        {"/sys/fs/cgroup/a/b/memory.max", "5000\n"}},
       800},
      {"version 2, in a container", {{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/memory.max", "5000\n"}}, 4000},
      {"version 1, path of the host",
       {{"/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/x\n0::/\n"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "2500\n"}},
       2000},
      {"version 1, no limit",
       {{"/proc/self/cgroup", "4:memory:/x\n"},
        {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "9223372036854771712\n"}},
       8000},
      {"nonsense", {{"/proc/self/cgroup", "0::/a\nx\n"}, {"/sys/fs/cgroup/a/memory.max", "many\n"}}, 8000},
  };
  const char* temporary = std::getenv("TEST_TMPDIR");
  int number = 0;
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const std::string root = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/root", number++);
    for (const auto& [path, text] : row.files) {
      std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
      std::ofstream(root + path) << text;
    }
    EXPECT_EQ(MemoryLimit(kMachine, root), row.limit);
    std::filesystem::remove_all(root);
  }
}

TEST(MemoryLimit, MachineHasMemory) { EXPECT_GT(MachineMemory(), 0); }

}  // namespace
}  // namespace hikyaku::queue
