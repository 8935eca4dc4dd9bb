// What stands behind `to:` of a route: the kind of the next hop, and where or what it is.
//
// Source:     config.proto (Route.to), whose words are those of Postfix's transport table where it has them; RFC 2033.
// Threading:  pure.
//
//   [relay.example.com]:2525                 that host, no MX look-up
//   [192.0.2.1]:25, [IPv6:::1]:25, [::1]:25  that address
//   relay.example.com:25                     the MX hosts of that domain
//   smtp:ANY OF THESE                        the same
//   smtp:                                    the MX hosts of the recipient's domain
//   lmtp:[host]:24, lmtp:inet:host:24        LMTP at that host, never by MX
//   lmtp:unix:/run/lmtp                      LMTP at a socket
//   discard:WORDS  maildir:FOLDER  reject:TEXT  error:5.1.1 TEXT
// "//" may follow "smtp:" and "lmtp:". A word with a colon and nothing but digits behind it is a host and its port.
#ifndef HIKYAKU_LIB_ADDRESS_ROUTE_TARGET_H_
#define HIKYAKU_LIB_ADDRESS_ROUTE_TARGET_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/address/literal.h"

namespace hikyaku::address {

struct RouteTarget {
  enum class Kind { kSmtp, kLmtp, kDiscard, kMaildir, kReject };

  Kind kind = Kind::kSmtp;
  // Of kSmtp and kLmtp.
  std::string host;  // A-label, or an address literal with brackets; empty: of the recipient's domain, or `path`.
  std::optional<IpAddress> literal;  // `host` as an address.
  std::uint16_t port = 0;            // 0: not given.
  bool mx_lookup = true;             // Of `host`.
  // kLmtp: an absolute path of a socket. kMaildir: a folder as it was written, without "..".
  std::string path;
  // kReject and kDiscard: what is said; never empty.
  std::string text;
  std::string enhanced;  // kReject: "5.1.1".
};

// kInvalidArgument says what is wrong, in words that can follow the text itself.
absl::StatusOr<RouteTarget> ParseRouteTarget(absl::string_view to);

// What is left of `to` behind "smtp:", "lmtp:" and their like where it is a host of a network; nothing where it is
// none.
std::optional<absl::string_view> RouteTargetHost(absl::string_view to);

}  // namespace hikyaku::address

#endif  // HIKYAKU_LIB_ADDRESS_ROUTE_TARGET_H_
