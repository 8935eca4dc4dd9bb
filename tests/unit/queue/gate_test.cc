#include "lib/queue/gate.h"

#include "gtest/gtest.h"

namespace hikyaku::queue {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr GateLimits kLimits = {.min_free_disk = 100 * kMiB, .min_free_inodes = 50, .memory = 200 * kMiB};

TEST(Gate, ShowsTheFirstTrueReason) {
  Gate gate;
  EXPECT_TRUE(gate.open());
  EXPECT_TRUE(gate.Check().ok());
  gate.Judge(DiskSpace{10 * kMiB, 1000}, 300 * kMiB, kLimits);
  EXPECT_EQ(gate.Reason(), "disk: 10MiB free, 100MiB wanted");
  EXPECT_TRUE(absl::IsResourceExhausted(gate.Check()));
  gate.Set(Gate::kStore, "store: a write failed");
  EXPECT_TRUE(absl::IsUnavailable(gate.Check()));
  gate.Set(Gate::kStore, "");
  gate.Judge(DiskSpace{1000 * kMiB, 1000}, 300 * kMiB, kLimits);
  EXPECT_EQ(gate.Reason(), "memory: 300MiB used, 200MiB allowed");
  gate.Judge(DiskSpace{1000 * kMiB, 10}, 0, kLimits);
  EXPECT_EQ(gate.Reason(), "disk: 10 inodes free, 50 wanted");
  gate.Judge(absl::UnavailableError("x"), 0, kLimits);
  EXPECT_EQ(gate.Reason(), "disk: cannot be measured");
  gate.Judge(DiskSpace{1000 * kMiB, 1000}, 0, kLimits);
  EXPECT_TRUE(gate.open());
  EXPECT_EQ(gate.Reason(), "");
}

TEST(Gate, MeasuresThisMachine) {
  const auto disk = MeasureDisk("/");
  ASSERT_TRUE(disk.ok());
  EXPECT_GT(disk->free_bytes, 0);
  EXPECT_FALSE(MeasureDisk("/no/such/folder").ok());
  EXPECT_GT(MeasureMemory(), 0);
}

}  // namespace
}  // namespace hikyaku::queue
