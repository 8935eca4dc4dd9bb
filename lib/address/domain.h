// Domain names as mail sees them: every spelling of a name becomes one A-label form, which is what routing, sharding,
// limits and DNS compare.
//
// Source:     RFC 5321 §4.1.2 and §4.5.3.1.2 (syntax, length), RFC 5891 §5 (IDNA2008 look-up), UTS #46 (mapping,
//             non-transitional), RFC 1123 §2.1 (letters, digits, hyphens).
// Non-goals:  address literals (literal.h); whether the name exists (lib/dns).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_ADDRESS_DOMAIN_H_
#define HIKYAKU_LIB_ADDRESS_DOMAIN_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::address {

// RFC 1035 §2.3.4: 255 octets on the wire are 253 characters of text; RFC 5321 allows no name that DNS cannot carry.
inline constexpr std::size_t kMaxDomainOctets = 253;
inline constexpr std::size_t kMaxLabelOctets = 63;

// The A-label form of `domain`, lower case, no trailing dot: `BÜCHER.test` and `xn--bcher-kva.test` both give the
// latter. A single label (`localhost`) is accepted: see IsFqdn.
//
// Errors, each with a text for the person who wrote the name:
//   kInvalidArgument  Not a domain: empty label, trailing dot, a character that is no letter, digit or hyphen, bad
//                     punycode, bad UTF-8, or a name that other software reads as an IP address (`127.1`, `0x7f.1`).
//   kOutOfRange       A label or the whole is too long.
absl::StatusOr<std::string> ToALabel(absl::string_view domain);

// The Unicode form for people; `a_label` itself where it has none. Never compare what this returns.
std::string ToULabel(absl::string_view a_label);

// Whether `a_label`, a result of ToALabel, has two labels or more.
bool IsFqdn(absl::string_view a_label);

}  // namespace hikyaku::address

#endif  // HIKYAKU_LIB_ADDRESS_DOMAIN_H_
