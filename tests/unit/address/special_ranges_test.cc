#include "lib/address/special_ranges.h"

#include <string>

#include "gtest/gtest.h"

namespace hikyaku::address {
namespace {

struct Row {
  const char* address;
  const char* name;  // "" is an address of the public Internet.
};

class SpecialRange : public testing::TestWithParam<Row> {};

TEST_P(SpecialRange, IsNamed) {
  const IpAddress address = IpAddress::Parse(GetParam().address).value();
  EXPECT_EQ(SpecialPurposeName(address), GetParam().name) << GetParam().address;
  EXPECT_EQ(IsSpecialPurpose(address), GetParam().name[0] != '\0');
}

// The first and the last address of each range, and the public neighbours.
INSTANTIATE_TEST_SUITE_P(IanaV4, SpecialRange,
                         testing::ValuesIn<Row>({
                             {"0.0.0.0", "this network"},
                             {"0.255.255.255", "this network"},
                             {"1.0.0.0", ""},
                             {"9.255.255.255", ""},
                             {"10.0.0.0", "private"},
                             {"10.255.255.255", "private"},
                             {"11.0.0.0", ""},
                             {"100.63.255.255", ""},
                             {"100.64.0.0", "carrier-grade NAT"},
                             {"100.127.255.255", "carrier-grade NAT"},
                             {"100.128.0.0", ""},
                             {"126.255.255.255", ""},
                             {"127.0.0.1", "loopback"},
                             {"127.255.255.255", "loopback"},
                             {"128.0.0.0", ""},
                             {"169.253.255.255", ""},
                             {"169.254.169.254", "link-local"},
                             {"169.255.0.0", ""},
                             {"172.15.255.255", ""},
                             {"172.16.0.9", "private"},
                             {"172.31.255.255", "private"},
                             {"172.32.0.0", ""},
                             {"191.255.255.255", ""},
                             {"192.0.0.0", "IETF protocol assignments"},
                             {"192.0.0.255", "IETF protocol assignments"},
                             {"192.0.1.0", ""},
                             {"192.0.2.1", "documentation"},
                             {"192.0.3.0", ""},
                             {"192.88.98.255", ""},
                             {"192.88.99.1", "6to4 relay anycast"},
                             {"192.88.100.0", ""},
                             {"192.167.255.255", ""},
                             {"192.168.0.9", "private"},
                             {"192.169.0.0", ""},
                             {"198.17.255.255", ""},
                             {"198.18.0.0", "benchmarking"},
                             {"198.19.255.255", "benchmarking"},
                             {"198.20.0.0", ""},
                             {"198.51.100.7", "documentation"},
                             {"198.51.101.0", ""},
                             {"203.0.113.7", "documentation"},
                             {"203.0.114.0", ""},
                             {"223.255.255.255", ""},
                             {"224.0.0.1", "multicast"},
                             {"239.255.255.255", "multicast"},
                             {"240.0.0.0", "reserved"},
                             {"255.255.255.254", "reserved"},
                             {"255.255.255.255", "limited broadcast"},
                             {"8.8.8.8", ""},
                         }));

INSTANTIATE_TEST_SUITE_P(IanaV6, SpecialRange,
                         testing::ValuesIn<Row>({
                             {"::", "unspecified"},
                             {"::1", "loopback"},
                             {"::2", "IPv4-compatible"},
                             {"::8.8.8.8", "IPv4-compatible"},
                             {"::ffff:127.0.0.1", "loopback"},
                             {"::ffff:10.0.0.1", "private"},
                             {"::ffff:8.8.8.8", ""},
                             {"::fffe:8.8.8.8", "reserved"},
                             {"::ffff:0:8.8.8.8", "reserved"},
                             {"64:ff9b::127.0.0.1", "loopback"},
                             {"64:ff9b::169.254.169.254", "link-local"},
                             {"64:ff9b::8.8.8.8", ""},
                             {"64:ff9b:1::8.8.8.8", "local-use NAT64"},
                             {"64:ff9b:0:0:0:1:808:808", "reserved"},
                             {"100::1", "discard-only"},
                             {"2001::1", "Teredo"},
                             {"2001:1ff:ffff::", "IETF protocol assignments"},
                             {"2001:200::1", ""},
                             {"2001:db7:ffff::", ""},
                             {"2001:db8::1", "documentation"},
                             {"2001:db9::", ""},
                             {"2001:4860:4860::8888", ""},
                             {"2002:7f00:1::", "loopback"},
                             {"2002:a00:1::1", "private"},
                             {"2002:c0a8:1::", "private"},
                             {"2002:808:808::1", ""},
                             {"3fff::1", "documentation"},
                             {"3fff:1000::1", ""},
                             {"3ffe::1", ""},
                             {"4000::1", "reserved"},
                             {"1fff::1", "reserved"},
                             {"5f00::1", "reserved"},
                             {"fbff::1", "reserved"},
                             {"fc00::1", "unique local"},
                             {"fdff::1", "unique local"},
                             {"fe00::1", "reserved"},
                             {"fe80::1", "link-local"},
                             {"febf::1", "link-local"},
                             {"fec0::1", "site-local"},
                             {"feff::1", "site-local"},
                             {"ff02::1", "multicast"},
                         }));

}  // namespace
}  // namespace hikyaku::address
