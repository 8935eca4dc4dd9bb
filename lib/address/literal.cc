#include "lib/address/literal.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"

namespace hikyaku::address {
namespace {

constexpr absl::string_view kMappedPrefix("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);  // ::ffff:0:0/96, RFC 4291 §2.5.5.2.
constexpr absl::string_view kIpv6Tag = "IPv6:";

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("\"", absl::CHexEscape(text.substr(0, 80)), "\" ", why));
}

// Whether the first `bits` bits of the two are the same. Both have at least that many.
bool SamePrefix(absl::string_view a, absl::string_view b, int bits) {
  const int whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  const int left = bits % 8;
  if (left == 0) return true;
  const unsigned char mask = static_cast<unsigned char>(0xFF << (8 - left));
  return ((a[whole] ^ b[whole]) & mask) == 0;
}

bool HasBitsBeyond(absl::string_view bytes, int prefix) {
  for (int bit = prefix; bit < static_cast<int>(bytes.size()) * 8; ++bit) {
    if (bytes[bit / 8] & (0x80 >> (bit % 8))) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<IpAddress> IpAddress::Parse(absl::string_view text) {
  // inet_pton is as strict as we need, but reads up to a NUL.
  const std::string copy(text.substr(0, INET6_ADDRSTRLEN));
  IpAddress address;
  address.size_ = absl::StrContains(copy, ':') ? 16 : 4;
  const bool clean = text.size() < INET6_ADDRSTRLEN && !absl::StrContains(text, absl::string_view("\0", 1));
  if (!clean || inet_pton(address.is_v6() ? AF_INET6 : AF_INET, copy.c_str(), address.bytes_.data()) != 1) {
    return Invalid(text, "is not an IP address such as 192.0.2.1 or 2001:db8::1");
  }
  return address;
}

std::optional<IpAddress> IpAddress::FromBytes(absl::string_view bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) return std::nullopt;
  IpAddress address;
  std::copy(bytes.begin(), bytes.end(), address.bytes_.begin());
  address.size_ = static_cast<std::uint8_t>(bytes.size());
  return address;
}

IpAddress IpAddress::FromV4(std::uint32_t host_order) {
  IpAddress address;
  for (int i = 0; i < 4; ++i) address.bytes_[i] = static_cast<char>(host_order >> (24 - 8 * i));
  return address;
}

IpAddress IpAddress::Unmapped() const {
  if (!is_v6() || !absl::StartsWith(bytes(), kMappedPrefix)) return *this;
  return *FromBytes(bytes().substr(kMappedPrefix.size()));
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v6() ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof(text));
  return text;
}

std::string IpAddress::ToLiteral() const { return absl::StrCat("[", is_v6() ? kIpv6Tag : "", ToString(), "]"); }

absl::StatusOr<Cidr> Cidr::Parse(absl::string_view text) {
  const std::size_t slash = text.find('/');
  ASSIGN_OR_RETURN(const IpAddress base, IpAddress::Parse(text.substr(0, slash)));
  const int bits = base.is_v6() ? 128 : 32;
  if (slash == absl::string_view::npos) return Cidr(base, bits);

  const absl::string_view length = text.substr(slash + 1);
  const bool digits = !length.empty() && std::all_of(length.begin(), length.end(), absl::ascii_isdigit);
  int prefix;
  if (!digits || !absl::SimpleAtoi(length, &prefix) || prefix > bits) {
    return Invalid(text, absl::StrCat("needs a prefix length from 0 to ", bits, " after the slash"));
  }
  if (HasBitsBeyond(base.bytes(), prefix)) {
    return Invalid(text, "names a host and not a network: bits are set beyond the prefix");
  }
  return Cidr(base, prefix);
}

bool Cidr::Contains(const IpAddress& address) const {
  const IpAddress candidate = base_.is_v4() ? address.Unmapped() : address;
  return candidate.is_v4() == base_.is_v4() && SamePrefix(candidate.bytes(), base_.bytes(), prefix_);
}

std::string Cidr::ToString() const { return absl::StrCat(base_.ToString(), "/", prefix_); }

absl::StatusOr<IpAddress> ParseAddressLiteral(absl::string_view text) {
  absl::string_view inside = text;
  if (!absl::ConsumePrefix(&inside, "[") || !absl::ConsumeSuffix(&inside, "]")) {
    return Invalid(text, "is not an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]");
  }
  const bool tagged = absl::StartsWithIgnoreCase(inside, kIpv6Tag);
  if (tagged) inside.remove_prefix(kIpv6Tag.size());
  const absl::StatusOr<IpAddress> address = IpAddress::Parse(inside);
  if (!address.ok() || address->is_v6() != tagged) {
    return Invalid(text, "is not an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]");
  }
  return address;
}

}  // namespace hikyaku::address
