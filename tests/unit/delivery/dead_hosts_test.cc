#include "lib/delivery/dead_hosts.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

class DeadHostsTest : public testing::Test {
 protected:
  static net::Endpoint At(const std::string& text) { return *net::ParseEndpoint(text, 25); }
  bool Tries(const net::Endpoint& endpoint) { return !hosts_.Ask(endpoint).has_value(); }

  FakeClock clock_;
  DeadHosts hosts_{clock_};
  const net::Endpoint host_ = At("192.0.2.1");
  const absl::Status silent_ = absl::DeadlineExceededError("no answer");
};

TEST_F(DeadHostsTest, WhatFailedAtOnceIsNotRemembered) {
  hosts_.Failed(host_, absl::UnavailableError("refused"), absl::Milliseconds(3));
  EXPECT_TRUE(Tries(host_));
  EXPECT_EQ(hosts_.size(), 0);
}

TEST_F(DeadHostsTest, RememberedForAsLongAsItTookToFindOut) {
  hosts_.Failed(host_, silent_, absl::Seconds(30));
  EXPECT_EQ(hosts_.Ask(host_), silent_);
  EXPECT_TRUE(Tries(At("192.0.2.2")));
  EXPECT_TRUE(Tries(At("192.0.2.1:26")));
  clock_.Advance(absl::Seconds(29));
  EXPECT_FALSE(Tries(host_));
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Tries(host_));
  EXPECT_FALSE(Tries(host_)) << "one probe is enough";
  clock_.Advance(absl::Seconds(30));
  EXPECT_TRUE(Tries(host_)) << "the probe's result never came";
  hosts_.Answered(host_);
  EXPECT_TRUE(Tries(host_));
  EXPECT_TRUE(Tries(host_));
  EXPECT_EQ(hosts_.size(), 0);
}

TEST_F(DeadHostsTest, NeverForMoreThanAMinute) {
  hosts_.Failed(host_, silent_, absl::Minutes(5));
  clock_.Advance(absl::Seconds(61));
  EXPECT_TRUE(Tries(host_));
}

TEST_F(DeadHostsTest, CancelledSaysNothingOfTheHost) {
  hosts_.Failed(host_, absl::CancelledError("stopping"), absl::Seconds(30));
  EXPECT_TRUE(Tries(host_));
}

TEST_F(DeadHostsTest, ClockThatWasSetBackHoldsNobodyUp) {
  hosts_.Failed(host_, silent_, absl::Seconds(30));
  clock_.Advance(-absl::Hours(1));
  EXPECT_TRUE(Tries(host_));
}

TEST_F(DeadHostsTest, NumberIsBounded) {
  for (int i = 0; i < 25'000; ++i) {
    hosts_.Failed(At(absl::StrCat("10.", i / 65536, ".", i / 256 % 256, ".", i % 256)), silent_, absl::Seconds(30));
  }
  EXPECT_LE(hosts_.size(), 10'000);
}

}  // namespace
}  // namespace hikyaku::delivery
