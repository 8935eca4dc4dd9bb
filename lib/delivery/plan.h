// The hosts that one attempt asks, one after another, with their addresses.
//
// Source:     RFC 5321 §5.1 (order of MX, ourselves among them), RFC 7505, RFC 8305 (two families, one attempt).
// Non-goals:  connecting; judging (verdict.h makes the outcomes that this hands on).
// Threading:  one owner, the coroutine of the attempt.
//
// Hosts of one preference are resolved together, since one of them may be ourselves: then it, its equals and all that
// come after it are left out. Later ones are resolved only if the earlier ones fail.
#ifndef HIKYAKU_LIB_DELIVERY_PLAN_H_
#define HIKYAKU_LIB_DELIVERY_PLAN_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/delivery/route.h"
#include "lib/dns/mx_resolver.h"
#include "lib/dns/resolver.h"
#include "lib/net/asio.h"
#include "lib/net/egress_guard.h"
#include "lib/net/endpoint.h"
#include "lib/outcome/outcome.h"

namespace hikyaku::delivery {

// Who we are, so that we do not deliver to ourselves.
struct OwnHost {
  std::string name;                      // A-label; empty: not known.
  std::vector<net::Endpoint> endpoints;  // Our SMTP listeners that have a definite address.
};

struct PlannedHost {
  std::string name;                      // For the log and the pool; a literal with its brackets.
  std::vector<net::Endpoint> endpoints;  // In the order to try; never empty; each passed the egress guard.
  bool named_by_operator = false;        // By its address: then no look-up stands behind the endpoints.

  // What DNSSEC proves of the way to it: that the domain's mail goes to `name` (also where a route says so); that
  // `name` has these addresses.
  bool name_proved = false;
  bool addresses_proved = false;
  std::string alias_of;        // The real name, where `name` is an alias.
  std::string next_hop_alias;  // The same of the domain whose MX was asked; only where it is proved.
};

// Bounds what an attempt spends on finding and reaching hosts; the dialogue has its own limits.
class Budget {
 public:
  static constexpr absl::Duration kTime = absl::Seconds(55);  // BATTERY N08: an attempt on dead hosts ends within 60 s.

  absl::Duration left() const { return kTime - spent_; }
  bool exhausted() const { return spent_ >= kTime || tries_ >= dns::kMaxTries; }
  void Spend(absl::Duration time) { spent_ += time; }
  void CountTry() { ++tries_; }

 private:
  absl::Duration spent_;
  int tries_ = 0;
};

// What a plan needs; all outlive it.
struct PlanEnv {
  dns::Resolver& resolver;
  const net::EgressGuard& guard;
  const OwnHost& own;
  Clock& clock;
  Budget& budget;
};

class Plan {
 public:
  static constexpr absl::Duration kLookupLimit = absl::Seconds(20);  // Of one look-up.

  // `domain` is the recipients', for texts; `hop` is its route.
  Plan(PlanEnv env, std::string domain, NextHop hop);

  // The next host, or nothing: then trouble() says why, unless a host that was given failed.
  // kCancelled: we are stopping.
  awaitable<absl::StatusOr<std::optional<PlannedHost>>> Next();

  // The dialer found that the host given last is ourselves: no equal and no later host is given any more.
  // A fault of the mail (5.4.6) only if no better host was there.
  void MetOurselves();

  // What stood in the way so far: what to say of the mail when no host that was given has an answer.
  const std::optional<outcome::Outcome>& trouble() const { return trouble_; }

 private:
  awaitable<absl::Status> LookUpMx();
  awaitable<absl::Status> LoadGroup();
  awaitable<absl::StatusOr<dns::HostAnswer>> Addresses(dns::MxHost host);
  void AddHost(const dns::MxHost& host, dns::HostAnswer answer);
  bool IsOwn(const dns::MxHost& host, const std::vector<address::IpAddress>& addresses) const;
  void Trouble(outcome::Outcome outcome);

  PlanEnv env_;
  const std::string domain_;
  const NextHop hop_;
  dns::MxResolver mx_;
  bool started_ = false;
  bool ended_ = false;
  bool hosts_proved_ = false;
  std::string next_hop_alias_;
  std::vector<dns::MxHost> hosts_;
  std::size_t next_host_ = 0;
  std::vector<PlannedHost> group_;  // Of one preference; resolved.
  std::size_t next_in_group_ = 0;
  std::string last_given_;
  bool other_trouble_ = false;  // Something else than the guard stood in the way.
  std::optional<outcome::Outcome> trouble_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_PLAN_H_
