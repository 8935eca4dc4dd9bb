#include "lib/net/admission.h"

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace hikyaku::net {
namespace {

constexpr absl::Time kNow = absl::UnixEpoch();

address::IpAddress Ip(const char* text) { return *address::IpAddress::Parse(text); }

TEST(Admission, CountsInAllAndByClient) {
  Admission admission({3, 2, nullptr, 0, nullptr});
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1"), kNow), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("::ffff:192.0.2.1"), kNow), std::nullopt);  // The same client.
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1"), kNow), Refusal::kPerClient);
  EXPECT_EQ(admission.Enter(Ip("192.0.2.2"), kNow), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("192.0.2.3"), kNow), Refusal::kTotal);
  admission.Leave(Ip("192.0.2.1"));
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1"), kNow), std::nullopt);
}

TEST(Admission, WholeNetworkIsOneIpv6Client) {
  Admission admission({0, 1, nullptr, 0, nullptr});
  EXPECT_EQ(admission.Enter(Ip("2001:db8::1"), kNow), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("2001:db8::ffff:1"), kNow), Refusal::kPerClient);
  EXPECT_EQ(admission.Enter(Ip("2001:db8:0:1::1"), kNow), std::nullopt);
}

TEST(Admission, ExemptAddressesMeetOnlyTheTotal) {
  Admission admission({3, 1, [](const address::IpAddress& ip) { return ip == Ip("127.0.0.1"); }, 0, nullptr});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(admission.Enter(Ip("127.0.0.1"), kNow), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("127.0.0.2"), kNow), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("127.0.0.1"), kNow), Refusal::kTotal);
  admission.Leave(Ip("127.0.0.1"));
  EXPECT_EQ(admission.Enter(Ip("127.0.0.2"), kNow), Refusal::kPerClient);
}

// Whoever takes all that he can get leaves something for others, and two such share alike.
TEST(Admission, ClientHoldsAtMostFourTimesWhatIsFree) {
  Admission admission({100, 0, nullptr, 0, nullptr});
  const auto take_all = [&admission](const char* ip) {
    int taken = 0;
    while (!admission.Enter(Ip(ip), kNow).has_value()) ++taken;
    return taken;
  };
  EXPECT_EQ(take_all("192.0.2.1"), 80);
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1"), kNow), Refusal::kPerClient);
  EXPECT_EQ(take_all("192.0.2.2"), 16);
  EXPECT_EQ(admission.Enter(Ip("192.0.2.3"), kNow), std::nullopt);
  for (int i = 0; i < 60; ++i) admission.Leave(Ip("192.0.2.1"));
  EXPECT_EQ(take_all("192.0.2.2"), 64 - 16);
}

TEST(Admission, IsCrowdedFromThreeQuarters) {
  Admission admission({8, 0, nullptr, 0, nullptr});
  const char* const clients[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"};
  for (const char* client : clients) {
    EXPECT_FALSE(admission.crowded());
    EXPECT_EQ(admission.Enter(Ip(client), kNow), std::nullopt);
  }
  EXPECT_TRUE(admission.crowded());
  admission.Leave(Ip("192.0.2.1"));
  EXPECT_FALSE(admission.crowded());
  EXPECT_FALSE(Admission({0, 0, nullptr, 0, nullptr}).crowded());
}

TEST(Admission, RateAllowsABurstAndThenItself) {
  Admission admission({0, 0, nullptr, 3, [](const address::IpAddress& ip) { return ip == Ip("127.0.0.1"); }});
  const auto connect = [&admission](const char* ip, absl::Duration at) {
    const auto refusal = admission.Enter(Ip(ip), kNow + at);
    if (!refusal.has_value()) admission.Leave(Ip(ip));
    return refusal;
  };
  for (int i = 0; i < 30; ++i) EXPECT_EQ(connect("192.0.2.1", absl::ZeroDuration()), std::nullopt) << i;
  EXPECT_EQ(connect("192.0.2.1", absl::ZeroDuration()), Refusal::kRate);
  EXPECT_EQ(connect("192.0.2.2", absl::ZeroDuration()), std::nullopt) << "another client";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(connect("192.0.2.1", absl::Seconds(1)), std::nullopt);
  EXPECT_EQ(connect("192.0.2.1", absl::Seconds(1)), Refusal::kRate);
  EXPECT_EQ(connect("192.0.2.1", absl::Milliseconds(500)), Refusal::kRate) << "a clock that went back";
  EXPECT_EQ(connect("192.0.2.1", absl::Seconds(60)), std::nullopt);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(connect("127.0.0.1", absl::ZeroDuration()), std::nullopt);
}

}  // namespace
}  // namespace hikyaku::net
