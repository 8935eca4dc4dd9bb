#include "lib/net/egress_guard.h"

#include <gtest/gtest.h>

namespace hikyaku::net {
namespace {

address::IpAddress Ip(const char* text) { return *address::IpAddress::Parse(text); }

TEST(EgressGuard, RefusesSpecialPurposeAddressesWithTheReason) {
  const EgressGuard guard;
  for (const char* text : {"127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "::1",
                           "::", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"}) {
    const absl::Status verdict = guard.Check(Ip(text));
    EXPECT_EQ(verdict.code(), absl::StatusCode::kPermissionDenied) << text;
    EXPECT_NE(verdict.message().find(Ip(text).ToString()), absl::string_view::npos) << verdict;
  }
}

TEST(EgressGuard, LetsPublicAddressesPass) {
  const EgressGuard guard;
  EXPECT_TRUE(guard.Check(Ip("1.1.1.1")).ok());
  EXPECT_TRUE(guard.Check(Ip("2606:4700::1111")).ok());
}

TEST(EgressGuard, AllowedRangesOpenOnlyThemselves) {
  const EgressGuard guard({*address::Cidr::Parse("127.0.0.0/8")});
  EXPECT_TRUE(guard.Check(Ip("127.0.0.9")).ok());
  EXPECT_TRUE(guard.Check(Ip("::ffff:127.0.0.9")).ok());
  EXPECT_FALSE(guard.Check(Ip("10.0.0.1")).ok());
  EXPECT_FALSE(guard.Check(Ip("::1")).ok());
}

}  // namespace
}  // namespace hikyaku::net
