// The addresses that no public mail host has: loopback, private, link-local, multicast, documentation, … Whoever makes
// us connect to one may reach a service that trusts us (server-side request forgery), so egress refuses them by
// default.
//
// Source:     IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890), RFC 6052 §2.1 (NAT64), RFC 3056 (6to4).
// Non-goals:  what the configuration allows nevertheless (`delivery.allow_ranges`; lib/delivery decides).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_ADDRESS_SPECIAL_RANGES_H_
#define HIKYAKU_LIB_ADDRESS_SPECIAL_RANGES_H_

#include "absl/strings/string_view.h"
#include "lib/address/literal.h"

namespace hikyaku::address {

// What kind of special-purpose address this is, for an error text ("loopback", "private", …); empty for an address of
// the public Internet. Forms that carry an IPv4 address and are translated to it on the way (mapped `::ffff:0:0/96`,
// NAT64 `64:ff9b::/96`, 6to4 `2002::/16`) are judged by that address.
absl::string_view SpecialPurposeName(const IpAddress& address);

inline bool IsSpecialPurpose(const IpAddress& address) { return !SpecialPurposeName(address).empty(); }

}  // namespace hikyaku::address

#endif  // HIKYAKU_LIB_ADDRESS_SPECIAL_RANGES_H_
