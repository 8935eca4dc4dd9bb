// Where mail for a domain goes: by MX, or where the operator's routes say.
//
// Source:     RFC 5321 §5.1 (MX), §4.1.3 (address literals).
// Non-goals:  DNS (plan.h); rewriting of addresses (submission).
// Threading:  a constant value after Create.
//
// A row is matched by the A-label of the domain, the most special first: the exact domain, then ".suffix" (the longest;
// subdomains only, not the domain itself), then "*". The order of the rows does not matter.
//
//   to                              goes to
//   [relay.example.com]:2525        the addresses of that host, no MX look-up
//   [192.0.2.1]:25, [IPv6:::1]:25,  that address; the operator named it, so that the egress guard does not ask
//   [::1]:25
//   relay.example.com:25            the MX hosts of that domain
// Without ":port" the default port is meant.
#ifndef HIKYAKU_LIB_DELIVERY_ROUTE_H_
#define HIKYAKU_LIB_DELIVERY_ROUTE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/address/literal.h"

namespace hikyaku::delivery {

// As in delivery.routes of the configuration.
struct RouteRow {
  std::string domain;
  std::string to;
};

struct NextHop {
  std::string host;  // A-label, or an address literal with brackets when `literal` is set.
  std::optional<address::IpAddress> literal;
  std::uint16_t port = 25;
  bool mx_lookup = true;  // Of `host`; never with `literal`.
  bool routed = false;    // A row says so: its `literal` is open whatever its range, and its faults are not the mail's.

  bool operator==(const NextHop&) const = default;
};

class RouteTable {
 public:
  // No routes: MX for every domain.
  explicit RouteTable(std::uint16_t default_port = 25) : default_port_(default_port) {}

  // kInvalidArgument names the row ("delivery.routes[2]: …") and what is wrong with it.
  static absl::StatusOr<RouteTable> Create(const std::vector<RouteRow>& rows, std::uint16_t default_port);

  // `domain` is an A-label in lower case, or a literal with brackets in canonical form.
  NextHop Route(absl::string_view domain) const;

 private:
  const NextHop* Find(absl::string_view domain) const;

  std::uint16_t default_port_;
  absl::flat_hash_map<std::string, NextHop> rows_;  // Keys: "example.com", ".example.com", "*", "[192.0.2.1]".
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_ROUTE_H_
