#include "lib/submission/commit_delay.h"

#include "gtest/gtest.h"
#include "lib/base/clock.h"

namespace hikyaku::submission {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(1);

class CommitDelayTest : public testing::Test {
 protected:
  void Begin(std::int64_t messages) {
    for (std::int64_t i = 0; i < messages; ++i) delay_.Begin(clock_.Now());
  }
  void End(std::int64_t messages, absl::Time began) {
    for (std::int64_t i = 0; i < messages; ++i) delay_.End(began, clock_.Now());
  }
  bool TooLong() const { return delay_.TooLong(clock_.Now()); }

  FakeClock clock_;
  CommitDelay delay_;
};

TEST_F(CommitDelayTest, SlowDiskAloneIsNoOverload) {
  Begin(CommitDelay::kFew);
  clock_.Advance(absl::Minutes(1));
  EXPECT_FALSE(TooLong());
}

TEST_F(CommitDelayTest, ManyThatAreAnsweredInTimeAreNoOverload) {
  const absl::Time begin = clock_.Now();
  Begin(10 * CommitDelay::kFew);
  clock_.Advance(CommitDelay::kLimit);
  EXPECT_FALSE(TooLong());
  End(1, begin);
  clock_.Advance(CommitDelay::kLimit);
  EXPECT_FALSE(TooLong());
}

TEST_F(CommitDelayTest, ManyOfWhichNoneIsAnsweredAreTooLong) {
  Begin(CommitDelay::kFew + 1);
  clock_.Advance(CommitDelay::kLimit + kTick);
  EXPECT_TRUE(TooLong());
}

TEST_F(CommitDelayTest, ManyThatWaitedTooLongUntilFewAreLeft) {
  const absl::Time begin = clock_.Now();
  Begin(CommitDelay::kFew + 2);
  clock_.Advance(CommitDelay::kLimit + kTick);
  End(1, begin);
  EXPECT_TRUE(TooLong());
  End(1, begin);
  EXPECT_FALSE(TooLong());
}

TEST_F(CommitDelayTest, ManyAreTakenAgainOnceOneWaitedNotTooLong) {
  const absl::Time begin = clock_.Now();
  Begin(2 * CommitDelay::kFew);
  clock_.Advance(CommitDelay::kLimit + kTick);
  const absl::Time later = clock_.Now();
  Begin(CommitDelay::kFew);
  End(1, begin);
  EXPECT_TRUE(TooLong());
  clock_.Advance(kTick);
  End(1, later);
  EXPECT_FALSE(TooLong());
}

TEST_F(CommitDelayTest, BurstAfterSilenceStartsAnew) {
  const absl::Time begin = clock_.Now();
  Begin(1);
  clock_.Advance(absl::Minutes(1));
  End(1, begin);
  clock_.Advance(absl::Hours(1));
  Begin(10 * CommitDelay::kFew);
  EXPECT_FALSE(TooLong());
}

}  // namespace
}  // namespace hikyaku::submission
