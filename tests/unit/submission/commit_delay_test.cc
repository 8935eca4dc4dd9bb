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
  // So many, one after the other.
  void Serve(int messages, absl::Duration each) {
    for (int i = 0; i < messages; ++i) {
      const absl::Time begin = clock_.Now();
      Begin(1);
      clock_.Advance(each);
      End(1, begin);
    }
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

TEST_F(CommitDelayTest, NothingIsKnownSoMoreThanAFewAreTooManyOnceItIsSlow) {
  Begin(CommitDelay::kFew + 1);
  clock_.Advance(CommitDelay::kSlow);
  EXPECT_FALSE(TooLong());
  clock_.Advance(kTick);
  EXPECT_TRUE(TooLong());
}

TEST_F(CommitDelayTest, AsManyMayWaitAsAreAnsweredWithinTheLimit) {
  Serve(5000, kTick / 2);
  const std::int64_t most = CommitDelay::kLimit / (kTick / 2);
  const absl::Time begin = clock_.Now();
  Begin(most - 1);
  clock_.Advance(CommitDelay::kSlow + kTick);
  EXPECT_FALSE(TooLong());
  Begin(50);
  EXPECT_TRUE(TooLong());
  End(400, begin);
  EXPECT_FALSE(TooLong());
}

TEST_F(CommitDelayTest, GroupsCountByTheirMessages) {
  for (int group = 0; group < 50; ++group) {
    const absl::Time begin = clock_.Now();
    Begin(200);
    clock_.Advance(absl::Milliseconds(100));
    End(200, begin);
  }
  Begin(1700);  // 850 ms at 2,000 a second.
  clock_.Advance(CommitDelay::kSlow + kTick);
  EXPECT_TRUE(TooLong());
  End(1200, clock_.Now() - CommitDelay::kSlow - kTick);
  EXPECT_FALSE(TooLong());
}

TEST_F(CommitDelayTest, CommitThatHangsIsTooLongHoweverFastItWas) {
  Serve(5000, absl::Microseconds(10));
  Begin(CommitDelay::kFew + 1);
  clock_.Advance(CommitDelay::kLimit);
  EXPECT_FALSE(TooLong());
  clock_.Advance(kTick);
  EXPECT_TRUE(TooLong());
}

TEST_F(CommitDelayTest, BurstAfterAQuietTimeIsTakenAsLongAsAnswersComeFast) {
  Serve(5000, absl::Milliseconds(50));
  const absl::Time begin = clock_.Now();
  Begin(4000);
  EXPECT_FALSE(TooLong());
  for (int i = 0; i < 1000; ++i) {
    clock_.Advance(absl::Microseconds(100));
    End(1, begin);
    EXPECT_FALSE(TooLong());
  }
}

TEST_F(CommitDelayTest, TimeWithoutMailIsNotWaiting) {
  Serve(5000, absl::Microseconds(100));
  clock_.Advance(absl::Hours(1));
  Begin(2000);
  clock_.Advance(CommitDelay::kSlow + kTick);
  EXPECT_FALSE(TooLong());
}

}  // namespace
}  // namespace hikyaku::submission
