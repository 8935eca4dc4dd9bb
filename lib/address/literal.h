// IP addresses, ranges of them, and the address literals of mail (`[192.0.2.1]`, `[IPv6:2001:db8::1]`).
//
// Source:     RFC 5321 §4.1.3 (literals), RFC 4291 §2.2 (IPv6 text), RFC 5952 (canonical IPv6 text), RFC 4632 (CIDR).
// Non-goals:  which addresses are safe to connect to (special_ranges.h); zone ids (`%eth0`), which are refused.
// Threading:  plain values.
#ifndef HIKYAKU_LIB_ADDRESS_LITERAL_H_
#define HIKYAKU_LIB_ADDRESS_LITERAL_H_

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::address {

// One IPv4 or IPv6 address. Equal only within a family: `::ffff:1.2.3.4` is not `1.2.3.4` (see Unmapped).
class IpAddress {
 public:
  // 0.0.0.0.
  IpAddress() : bytes_{}, size_(4) {}

  // From the textual form: four decimal numbers without leading zeros, or RFC 4291 §2.2 without a zone. No octal, hex
  // or short forms. kInvalidArgument for anything else.
  static absl::StatusOr<IpAddress> Parse(absl::string_view text);

  // From 4 or 16 bytes in network order; nothing for another length.
  static std::optional<IpAddress> FromBytes(absl::string_view bytes);

  // From an IPv4 address in host order: 0x7f000001 is 127.0.0.1.
  static IpAddress FromV4(std::uint32_t host_order);

  bool is_v4() const { return size_ == 4; }
  bool is_v6() const { return size_ == 16; }

  // 4 or 16 bytes in network order; lives as long as this value.
  absl::string_view bytes() const { return {bytes_.data(), size_}; }

  // The IPv4 address of `::ffff:a.b.c.d`, as dual-stack sockets report it; itself for all others.
  IpAddress Unmapped() const;

  std::string ToString() const;

  // With brackets, as SMTP writes it: `[1.2.3.4]`, `[IPv6:::1]`.
  std::string ToLiteral() const;

  auto operator<=>(const IpAddress&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& address) {
    return H::combine(std::move(h), address.bytes_, address.size_);
  }

 private:
  std::array<char, 16> bytes_;  // An IPv4 address fills the first four; the rest is zero.
  std::uint8_t size_;
};

// A range of addresses: `10.0.0.0/8`, `::1/128`, or one address without a length.
class Cidr {
 public:
  // kInvalidArgument for bad text and for bits set beyond the prefix (`10.1.2.3/8`): probably a slip.
  static absl::StatusOr<Cidr> Parse(absl::string_view text);

  // An IPv4 range also contains the mapped form (`::ffff:a.b.c.d`) of its addresses.
  bool Contains(const IpAddress& address) const;

  std::string ToString() const;

  bool operator==(const Cidr&) const = default;

 private:
  Cidr(const IpAddress& base, int prefix) : base_(base), prefix_(prefix) {}

  IpAddress base_;
  int prefix_;
};

// Reads `[1.2.3.4]` or `[IPv6:…]` (the tag in any case), brackets included. kInvalidArgument for anything else: other
// tags (RFC 5321's General-address-literal) have no registered meaning, and `[0x7f.1]` is how filters are tricked.
absl::StatusOr<IpAddress> ParseAddressLiteral(absl::string_view text);

}  // namespace hikyaku::address

#endif  // HIKYAKU_LIB_ADDRESS_LITERAL_H_
