#include "lib/net/admission.h"

#include "gtest/gtest.h"

namespace hikyaku::net {
namespace {

address::IpAddress Ip(const char* text) { return *address::IpAddress::Parse(text); }

TEST(Admission, CountsInAllAndByClient) {
  Admission admission({3, 2, nullptr});
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1")), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("::ffff:192.0.2.1")), std::nullopt);  // The same client.
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1")), Refusal::kPerClient);
  EXPECT_EQ(admission.Enter(Ip("192.0.2.2")), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("192.0.2.3")), Refusal::kTotal);
  admission.Leave(Ip("192.0.2.1"));
  EXPECT_EQ(admission.Enter(Ip("192.0.2.1")), std::nullopt);
}

TEST(Admission, WholeNetworkIsOneIpv6Client) {
  Admission admission({0, 1, nullptr});
  EXPECT_EQ(admission.Enter(Ip("2001:db8::1")), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("2001:db8::ffff:1")), Refusal::kPerClient);
  EXPECT_EQ(admission.Enter(Ip("2001:db8:0:1::1")), std::nullopt);
}

TEST(Admission, ExemptAddressesMeetOnlyTheTotal) {
  Admission admission({3, 1, [](const address::IpAddress& ip) { return ip == Ip("127.0.0.1"); }});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(admission.Enter(Ip("127.0.0.1")), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("127.0.0.2")), std::nullopt);
  EXPECT_EQ(admission.Enter(Ip("127.0.0.1")), Refusal::kTotal);
  admission.Leave(Ip("127.0.0.1"));
  EXPECT_EQ(admission.Enter(Ip("127.0.0.2")), Refusal::kPerClient);
}

}  // namespace
}  // namespace hikyaku::net
