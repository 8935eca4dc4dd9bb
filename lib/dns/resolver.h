// Asks the DNS: one of the four doors to the world.
//
// Source:    RFC 1035; RFC 2181 §5.4.1 (what of an answer to believe); RFC 2308 (no such name, no such data).
// Non-goals: choosing hosts for mail (mx_resolver.h); validating DNSSEC (the resolver that we ask does, and says AD).
// Threading: safe from every thread; the caller goes on on its own executor.
#ifndef HIKYAKU_LIB_DNS_RESOLVER_H_
#define HIKYAKU_LIB_DNS_RESOLVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"
#include "lib/net/asio.h"

namespace hikyaku::dns {

struct MxRecord {
  std::uint16_t preference;  // Lower is tried first.
  std::string host;          // Lower case, no trailing dot; empty is the root (a null MX).

  bool operator==(const MxRecord&) const = default;
};

// No records is an answer too: the name exists, but has none of this type (NODATA).
template <typename Record>
struct Answer {
  std::vector<Record> records;
  absl::Time expires;          // When the smallest TTL of the answer ends.
  bool authenticated = false;  // A resolver that we believe says that DNSSEC proves all of it (AD).
  std::string alias_of = {};   // The name that the asked one is an alias of, at the end of all; empty: it is none.
};

// RFC 6698 §2.1, as it came: whether it can be used is for others to say.
struct TlsaRecord {
  std::uint8_t usage;
  std::uint8_t selector;
  std::uint8_t matching;
  std::string data;

  bool operator==(const TlsaRecord&) const = default;
};

using MxAnswers = Answer<MxRecord>;
using AddressAnswers = Answer<address::IpAddress>;
using TlsaAnswers = Answer<TlsaRecord>;
using TextAnswers = Answer<std::string>;  // Names, or TXT records with their strings joined (RFC 7208 §3.3).

// Names are A-labels, with or without a trailing dot. `limit` bounds the wait. For all calls:
//
//   kNotFound            The name does not exist (NXDOMAIN).
//   kUnavailable         SERVFAIL, refused, no server, a broken answer.  Try later.
//   kDeadlineExceeded    `limit` passed, or no server answered.          Try later.
//   kInvalidArgument     Not a name that DNS can carry.                  It never will be.
//   kCancelled           We are stopping.
class Resolver {
 public:
  virtual ~Resolver() = default;

  // In the order of the answer.
  virtual awaitable<absl::StatusOr<MxAnswers>> ResolveMx(std::string domain, absl::Duration limit) = 0;

  // A and AAAA, asked in parallel, IPv6 first. An error of one is forgiven where the other has addresses, since many
  // zones break on AAAA alone. `authenticated` is of those that gave addresses.
  virtual awaitable<absl::StatusOr<AddressAnswers>> ResolveAddresses(std::string host, absl::Duration limit) = 0;

  virtual awaitable<absl::StatusOr<TextAnswers>> ResolveTxt(std::string name, absl::Duration limit) = 0;

  // Of "_25._tcp.mx.example.net". A record too short to have three fields has 255 in them.
  virtual awaitable<absl::StatusOr<TlsaAnswers>> ResolveTlsa(std::string name, absl::Duration limit) = 0;

  // The CNAME record of `name` itself, not followed.
  virtual awaitable<absl::StatusOr<TextAnswers>> ResolveAlias(std::string name, absl::Duration limit) = 0;

  // The names of an address (in-addr.arpa, ip6.arpa).
  virtual awaitable<absl::StatusOr<TextAnswers>> ResolvePtr(address::IpAddress address, absl::Duration limit) = 0;
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_RESOLVER_H_
