// Finds the hosts that accept mail for a domain, in the order to try them, and their addresses.
//
// Source:    RFC 5321 §5.1 (MX, then implicit MX), RFC 7505 (null MX).
// Non-goals: address literals (the route says so), MTA-STS filtering, connecting.
// Threading: safe from every thread.
//
// The caller asks for the addresses of hosts[0], tries them, goes on to hosts[1] and so on, and stops after
// kMaxTries connections: that bounds one attempt (Postfix: 5 hosts).
#ifndef HIKYAKU_LIB_DNS_MX_RESOLVER_H_
#define HIKYAKU_LIB_DNS_MX_RESOLVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"
#include "lib/dns/resolver.h"
#include "lib/net/asio.h"

namespace hikyaku::dns {

inline constexpr int kMaxHosts = 10;            // MX hosts of a domain that are looked at.
inline constexpr int kMaxAddressesPerHost = 4;  // Addresses of a host that are tried.
inline constexpr int kMaxTries = 10;            // Connections that one attempt may open in all.

struct MxHost {
  std::string name;          // A-label, lower case, no trailing dot.
  std::uint16_t preference;  // Lower is tried first.
};

struct MxAnswer {
  std::vector<MxHost> hosts;   // 1..kMaxHosts, best first, equals in a new random order each time.
  absl::Time expires;          // When the smallest TTL of the answer ends.
  bool implicit = false;       // No MX existed: hosts[0] is the domain itself.
  bool authenticated = false;  // DNSSEC proves the set (AD), or with `implicit` that there is none.
  std::string alias_of;        // The domain's real name, where it is an alias.
};

struct HostAnswer {
  std::vector<address::IpAddress> addresses;  // 1..kMaxAddressesPerHost.
  bool authenticated = false;                 // DNSSEC proves them (AD), and the aliases on the way.
  std::string alias_of;                       // The host's real name, where it is an alias.
};

class MxResolver {
 public:
  // `resolver` must outlive this.
  explicit MxResolver(Resolver& resolver) : resolver_(resolver) {}

  // Resolves `domain`, an A-label (not an address literal).
  //
  // Errors, and what the caller does next:
  //   kNotFound            NXDOMAIN, or neither MX nor address.  Bounce, 5.1.2.
  //   kFailedPrecondition  Null MX.                              Bounce, 5.1.10.
  //   kInvalidArgument     Not a name that DNS can carry.        Bounce, 5.1.2.
  //   kUnavailable         SERVFAIL, no server.                  Defer, 4.4.3.
  //   kDeadlineExceeded    `limit` passed.                       Defer, 4.4.3.
  //   kCancelled           We are stopping.                      Give the lease back unchanged.
  awaitable<absl::StatusOr<MxAnswer>> Resolve(std::string domain, absl::Duration limit);

  // The addresses of an MX host, shuffled within each family, families alternating with IPv6
  // first. The same errors, but none is final here: a host that does not exist (kNotFound, also for a host without
  // addresses, 4.4.4) is passed over, and the mail waits if no host works.
  awaitable<absl::StatusOr<HostAnswer>> ResolveHost(std::string host, absl::Duration limit);

 private:
  awaitable<absl::StatusOr<MxAnswer>> ResolveImplicit(std::string domain, bool no_mx_proved, absl::Duration limit);

  Resolver& resolver_;
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_MX_RESOLVER_H_
