#include "lib/address/special_ranges.h"

#include <cstdint>

namespace hikyaku::address {
namespace {

// IANA IPv4 Special-Purpose Address Registry, with multicast (RFC 5771) and the reserved class E. The few globally
// reachable anycast addresses in 192.0.0.0/24 are no mail hosts either.
struct V4Range {
  std::uint32_t base;
  int prefix;
  absl::string_view name;
};
constexpr V4Range kV4Ranges[] = {
    {0x00000000, 8, "this network"},                // 0.0.0.0/8, RFC 791 §3.2; connects to ourselves on Linux
    {0x0A000000, 8, "private"},                     // 10.0.0.0/8, RFC 1918
    {0x64400000, 10, "carrier-grade NAT"},          // 100.64.0.0/10, RFC 6598
    {0x7F000000, 8, "loopback"},                    // 127.0.0.0/8, RFC 1122 §3.2.1.3
    {0xA9FE0000, 16, "link-local"},                 // 169.254.0.0/16, RFC 3927; cloud metadata services
    {0xAC100000, 12, "private"},                    // 172.16.0.0/12, RFC 1918
    {0xC0000000, 24, "IETF protocol assignments"},  // 192.0.0.0/24, RFC 6890
    {0xC0000200, 24, "documentation"},              // 192.0.2.0/24, RFC 5737
    {0xC0586300, 24, "6to4 relay anycast"},         // 192.88.99.0/24, RFC 7526
    {0xC0A80000, 16, "private"},                    // 192.168.0.0/16, RFC 1918
    {0xC6120000, 15, "benchmarking"},               // 198.18.0.0/15, RFC 2544
    {0xC6336400, 24, "documentation"},              // 198.51.100.0/24, RFC 5737
    {0xCB007100, 24, "documentation"},              // 203.0.113.0/24, RFC 5737
    {0xE0000000, 4, "multicast"},                   // 224.0.0.0/4, RFC 5771
    {0xFFFFFFFF, 32, "limited broadcast"},          // RFC 919
    {0xF0000000, 4, "reserved"},                    // 240.0.0.0/4, RFC 1112 §4
};

// IANA IPv6 Special-Purpose Address Registry: the ranges whose prefix lies in the upper 64 bits.
struct V6Range {
  std::uint64_t high;
  int prefix;
  absl::string_view name;
};
constexpr V6Range kV6Ranges[] = {
    {0x0064FF9B00010000, 48, "local-use NAT64"},            // 64:ff9b:1::/48, RFC 8215
    {0x0100000000000000, 64, "discard-only"},               // 100::/64, RFC 6666
    {0x2001000000000000, 32, "Teredo"},                     // 2001::/32, RFC 4380
    {0x2001000000000000, 23, "IETF protocol assignments"},  // 2001::/23, RFC 2928
    {0x20010DB800000000, 32, "documentation"},              // 2001:db8::/32, RFC 3849
    {0x3FFF000000000000, 20, "documentation"},              // 3fff::/20, RFC 9637
    {0xFC00000000000000, 7, "unique local"},                // fc00::/7, RFC 4193
    {0xFE80000000000000, 10, "link-local"},                 // fe80::/10, RFC 4291 §2.5.6
    {0xFEC0000000000000, 10, "site-local"},                 // fec0::/10, RFC 3879
    {0xFF00000000000000, 8, "multicast"},                   // ff00::/8, RFC 4291 §2.7
};

constexpr std::uint64_t kNat64High = 0x0064FF9B00000000;  // 64:ff9b::/96, RFC 6052 §2.1.
constexpr std::uint64_t kMappedMarker = 0xFFFF;           // ::ffff:0:0/96, RFC 4291 §2.5.5.2.
constexpr std::uint64_t k6to4Prefix = 0x2002;             // 2002::/16, RFC 3056.

std::uint64_t BigEndian(absl::string_view bytes) {
  std::uint64_t value = 0;
  for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

absl::string_view NameV4(std::uint32_t address) {
  for (const V4Range& range : kV4Ranges) {
    if ((address ^ range.base) >> (32 - range.prefix) == 0) return range.name;
  }
  return {};
}

// The addresses under ::/64 and the other forms that hold an IPv4 address. True if `address` is one of them.
bool NameEmbedded(std::uint64_t high, std::uint64_t low, absl::string_view& name) {
  const std::uint64_t above_v4 = low >> 32;
  const std::uint32_t v4 = static_cast<std::uint32_t>(low);
  if (high >> 48 == k6to4Prefix) {
    name = NameV4(static_cast<std::uint32_t>(high >> 16));
  } else if ((high == kNat64High && above_v4 == 0) || (high == 0 && above_v4 == kMappedMarker)) {
    name = NameV4(v4);
  } else if (high == 0 && above_v4 == 0) {
    name = v4 == 0 ? "unspecified" : v4 == 1 ? "loopback" : "IPv4-compatible";
  } else {
    return false;
  }
  return true;
}

absl::string_view NameV6(std::uint64_t high, std::uint64_t low) {
  if (absl::string_view name; NameEmbedded(high, low, name)) return name;
  for (const V6Range& range : kV6Ranges) {
    if ((high ^ range.high) >> (64 - range.prefix) == 0) return range.name;
  }
  // Global unicast is assigned from 2000::/3 alone (RFC 4291 §2.4, IANA IPv6 Address Space).
  return high >> 61 == 1 ? absl::string_view() : "reserved";
}

}  // namespace

absl::string_view SpecialPurposeName(const IpAddress& address) {
  const absl::string_view bytes = address.bytes();
  if (address.is_v4()) return NameV4(static_cast<std::uint32_t>(BigEndian(bytes)));
  return NameV6(BigEndian(bytes.substr(0, 8)), BigEndian(bytes.substr(8)));
}

}  // namespace hikyaku::address
