#include "lib/delivery/broken_tls.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kMemory = absl::Hours(1);

TEST(BrokenTls, RemembersTheFirstFailureUntilTheLastIsOld) {
  FakeClock clock;
  BrokenTls broken(clock);
  EXPECT_FALSE(broken.Since("mx.test", kMemory));
  const absl::Time first = clock.Now();
  broken.Failed("mx.test");
  clock.Advance(absl::Minutes(50));
  broken.Failed("mx.test");
  clock.Advance(absl::Minutes(50));
  EXPECT_EQ(broken.Since("mx.test", kMemory), first);
  EXPECT_FALSE(broken.Since("other.test", kMemory));
  clock.Advance(absl::Minutes(11));
  EXPECT_FALSE(broken.Since("mx.test", kMemory));
  EXPECT_EQ(broken.size(), 0u);
}

TEST(BrokenTls, ForgetsAHostThatWorks) {
  FakeClock clock;
  BrokenTls broken(clock);
  broken.Failed("mx.test");
  broken.Worked("mx.test");
  EXPECT_FALSE(broken.Since("mx.test", kMemory));
}

TEST(BrokenTls, IsBounded) {
  FakeClock clock;
  BrokenTls broken(clock);
  for (std::size_t i = 0; i <= BrokenTls::kMostHosts; ++i) broken.Failed(absl::StrCat("mx", i, ".test"));
  EXPECT_LE(broken.size(), BrokenTls::kMostHosts);
}

}  // namespace
}  // namespace hikyaku::delivery
