#include "services/hikyaku/heap_trim.h"

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "absl/base/config.h"
#include "gtest/gtest.h"

namespace hikyaku::cli {
namespace {

std::size_t Resident() {
  long pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  EXPECT_EQ(std::fscanf(file, "%ld %ld", &pages, &resident), 2);
  std::fclose(file);
  return static_cast<std::size_t>(resident) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Frees 200 MiB in small pieces below one that stays, so that malloc itself gives nothing back.
TEST(HeapTrim, GivesBackWhatStaysFree) {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
  GTEST_SKIP() << "a sanitizer's malloc is not glibc's";
#endif
  constexpr std::size_t kPiece = 1024, kPieces = 200 << 10;
  std::vector<char*> pieces;
  for (std::size_t i = 0; i < kPieces; ++i) {
    pieces.push_back(static_cast<char*>(std::malloc(kPiece)));
    std::memset(pieces.back(), 1, kPiece);
  }
  void* const last = std::malloc(kPiece);
  const std::size_t full = Resident();
  for (char* piece : pieces) std::free(piece);

  HeapTrim trim;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  trim.Tick(now);
  trim.Tick(now + absl::Seconds(1));
  EXPECT_GT(Resident(), full - (100 << 20)) << "one look is not enough: it may be used again at once";
  trim.Tick(now + absl::Seconds(11));
  EXPECT_LT(Resident(), full - (150 << 20));
  std::free(last);
}

}  // namespace
}  // namespace hikyaku::cli
