// Where mail goes: by MX, or where the operator's routes say.
//
// Source:     RFC 5321 §5.1 (MX), §4.1.3 (address literals); lib/address/route_target.h (what `to` may be).
// Non-goals:  DNS (plan.h); rewriting of addresses (submission).
// Threading:  a constant value after Create.
//
// The row that wins, of those that fit the mail: the one with the most special recipient domain (exact, then the
// longest
// ".suffix", which does not match the domain itself, then "*"); of its rows one with `stream` before one without, then
// one with `tenant`, then one with `sender_domain` (exact before the longest suffix). Their order does not matter.
#ifndef HIKYAKU_LIB_DELIVERY_ROUTE_H_
#define HIKYAKU_LIB_DELIVERY_ROUTE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/address/literal.h"
#include "lib/address/route_target.h"
#include "lib/delivery/login.h"
#include "lib/delivery/tls_demand.h"

namespace hikyaku::delivery {

// As in delivery.routes of the configuration. Empty: not given.
struct RouteRow {
  std::string domain;
  std::string to;
  std::string sender_domain = {};
  std::string tenant = {};
  std::string stream = {};
  std::string sources = {};
  std::optional<TlsLevel> tls = {};
  std::optional<bool> tls_implicit = {};  // Not set: true for kSubmissionsPort.
  std::optional<LoginOptions> login = {};
};

// What a row says beyond host and port.
struct RouteRule {
  std::size_t row = 0;  // In delivery.routes.
  std::string text;     // The row as people know it: "delivery.routes[2] (.example.com, tenant shop)".
  address::RouteTarget target;
  std::string sources;  // A pool's name; empty: the default one.
  std::optional<TlsLevel> tls = {};
  bool tls_implicit = false;
  std::shared_ptr<Login> login = {};  // Nothing: no AUTH.
};

struct NextHop {
  using Kind = address::RouteTarget::Kind;

  Kind kind = Kind::kSmtp;
  // A-label; an address literal with brackets, and `literal`; or "unix:/run/lmtp", and `literal` is 0.0.0.0 and `port`
  // 0. Empty where `kind` has none.
  std::string host;
  std::optional<address::IpAddress> literal;
  std::uint16_t port = 25;
  bool mx_lookup = true;  // Of `host`; never with `literal`.
  bool routed =
      false;  // A row names the host: its `literal` is open whatever its range, and its faults are not the mail's.
  std::shared_ptr<const RouteRule> rule;  // Of the row; nothing where no row fits.

  // Mail goes to a host, by SMTP or LMTP.
  bool remote() const { return kind == Kind::kSmtp || kind == Kind::kLmtp; }
};

// The mail that asks. What is empty fits rows that do not ask for it.
struct RouteQuery {
  absl::string_view
      domain;  // Of the recipients: an A-label in lower case, or a literal with brackets in canonical form.
  absl::string_view sender = {};  // Envelope sender; empty: the null sender.
  absl::string_view tenant = {};
  absl::string_view stream = {};
};

class RouteTable {
 public:
  static constexpr std::uint16_t kSubmissionsPort = 465;  // RFC 8314 §3.3.

  // No routes: MX for every domain.
  explicit RouteTable(std::uint16_t default_port = 25) : default_port_(default_port) {}

  // kInvalidArgument names the row ("delivery.routes[2].to …") and what is wrong with it.
  static absl::StatusOr<RouteTable> Create(const std::vector<RouteRow>& rows, std::uint16_t default_port);

  NextHop Route(const RouteQuery& query) const;

  // The refusal ("5.1.1 text") that awaits every mail to `domain`, whoever sends it; nothing where some may pass.
  std::optional<std::string> CertainRefusal(absl::string_view domain) const;

 private:
  struct Row {
    std::string sender_domain;  // "a.test", ".a.test", "<>"; empty: any.
    std::string tenant;
    std::string stream;
    NextHop hop;

    bool conditional() const { return !sender_domain.empty() || !tenant.empty() || !stream.empty(); }
  };
  using Rows = std::vector<Row>;  // Of one recipient domain, the one that wins first.

  static bool Before(const Row& a, const Row& b);
  static absl::StatusOr<Row> MakeRow(const RouteRow& row, std::size_t index, std::uint16_t default_port);
  static bool Fits(const Row& row, const RouteQuery& query, absl::string_view sender_domain);
  template <typename Visit>
  void ForEachKey(absl::string_view domain, Visit visit) const;
  NextHop ByMx(absl::string_view domain) const;

  std::uint16_t default_port_;
  bool by_sender_ = false;                       // A row asks for the sender.
  absl::flat_hash_map<std::string, Rows> rows_;  // Keys: "example.com", ".example.com", "*", "[192.0.2.1]".
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_ROUTE_H_
