#include "lib/address/literal.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::address {
namespace {

IpAddress Ip(absl::string_view text) { return IpAddress::Parse(text).value(); }
Cidr Range(absl::string_view text) { return Cidr::Parse(text).value(); }

TEST(IpAddressText, IsReadAndWrittenInCanonicalForm) {
  const struct {
    const char* text;
    const char* canonical;
  } kCases[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"192.0.2.255", "192.0.2.255"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
      {"::ffff:127.0.0.1", "::ffff:127.0.0.1"},
      {"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Ip(c.text).ToString(), c.canonical) << c.text;
}

TEST(IpAddressText, IsRefusedWhenNotStrict) {
  const std::string kCases[] = {
      "",
      "1",
      "127.1",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "0x7f.0.0.1",
      "2130706433",
      " 1.2.3.4",
      "1.2.3.4 ",
      "1.2.3.4\n",
      "1.2.3.",
      "-1.2.3.4",
      ":",
      ":::",
      "1::2::3",
      "12345::",
      "fe80::1%eth0",
      "[::1]",
      "::1/128",
      "g::",
      "1:2:3:4:5:6:7:8:9",
      "::1.2.3",
      std::string("1.2.3.4\0", 8),
      std::string(1 << 20, ':'),
  };
  for (const std::string& text : kCases) {
    EXPECT_EQ(IpAddress::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text.substr(0, 40);
  }
}

TEST(IpAddressValue, CrossesItsBytes) {
  EXPECT_EQ(IpAddress::FromBytes("\xc0\x00\x02\x01"), std::nullopt) << "a literal that ends at its NUL";
  EXPECT_EQ(IpAddress::FromBytes(absl::string_view("\xc0\x00\x02\x01", 4)), Ip("192.0.2.1"));
  EXPECT_EQ(IpAddress::FromBytes(Ip("2001:db8::7").bytes()), Ip("2001:db8::7"));
  EXPECT_EQ(IpAddress::FromBytes("12345"), std::nullopt);
  EXPECT_EQ(IpAddress::FromV4(0x7f000001), Ip("127.0.0.1"));
  EXPECT_EQ(IpAddress(), Ip("0.0.0.0"));
}

TEST(IpAddressValue, UnmapsOnlyTheMapped) {
  EXPECT_EQ(Ip("::ffff:192.0.2.1").Unmapped(), Ip("192.0.2.1"));
  EXPECT_EQ(Ip("::192.0.2.1").Unmapped(), Ip("::192.0.2.1"));
  EXPECT_EQ(Ip("192.0.2.1").Unmapped(), Ip("192.0.2.1"));
  EXPECT_NE(Ip("::ffff:192.0.2.1"), Ip("192.0.2.1"));
}

TEST(CidrContains, ComparesThePrefixAlone) {
  const struct {
    const char* range;
    const char* address;
    bool inside;
  } kCases[] = {
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"172.16.0.0/12", "172.31.0.1", true},
      {"172.16.0.0/12", "172.32.0.0", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.6", false},
      {"192.0.2.6/31", "192.0.2.7", true},
      {"::1/128", "::1", true},
      {"::1/128", "::2", false},
      {"2001:db8::/33", "2001:db8:7fff::", true},
      {"2001:db8::/33", "2001:db8:8000::", false},
      {"::/0", "2001:db8::1", true},
      {"::/0", "192.0.2.1", false},
      {"127.0.0.0/8", "::ffff:127.0.0.1", true},
      {"::ffff:0:0/96", "::ffff:127.0.0.1", true},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Range(c.range).Contains(Ip(c.address)), c.inside) << c.range << " " << c.address;
  }
}

TEST(CidrText, IsReadBackAsWritten) {
  EXPECT_EQ(Range("10.0.0.0/8").ToString(), "10.0.0.0/8");
  EXPECT_EQ(Range("::1").ToString(), "::1/128");
  EXPECT_EQ(Range(Range("2001:DB8::/32").ToString()), Range("2001:db8::/32"));
}

TEST(CidrText, IsRefusedWhenDoubtful) {
  for (const char* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8",
                           "10.0.0.0/8/8", "10.1.2.3/8", "2001:db8::1/64", "10.0.0.0/99999999999", "localhost/8"}) {
    EXPECT_EQ(Cidr::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(AddressLiteral, IsReadStrictly) {
  EXPECT_EQ(ParseAddressLiteral("[192.0.2.1]").value(), Ip("192.0.2.1"));
  EXPECT_EQ(ParseAddressLiteral("[IPv6:::1]").value(), Ip("::1"));
  EXPECT_EQ(ParseAddressLiteral("[ipv6:2001:DB8::1]").value(), Ip("2001:db8::1"));
  EXPECT_EQ(ParseAddressLiteral("[IPv6:::ffff:127.0.0.1]").value(), Ip("::ffff:127.0.0.1"));
  for (const char* text : {"", "[", "]", "[]", "192.0.2.1", "[192.0.2.1", "192.0.2.1]", "[0x7f.1]", "[127.1]", "[::1]",
                           "[IPv6:]", "[IPv6:192.0.2.1]", "[IPv6:::1]x", "[[::1]]", "[ 192.0.2.1]", "[x400:abc]",
                           "[IPv6:fe80::1%lo]", "[192.0.2.1]:25"}) {
    EXPECT_EQ(ParseAddressLiteral(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(AddressLiteral, IsWrittenCanonically) {
  EXPECT_EQ(Ip("192.0.2.1").ToLiteral(), "[192.0.2.1]");
  EXPECT_EQ(Ip("2001:DB8::1").ToLiteral(), "[IPv6:2001:db8::1]");
}

}  // namespace
}  // namespace hikyaku::address
