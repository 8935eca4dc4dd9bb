// Which TLS one attempt asks for, host by host: the operator's configuration and routes, and what the domain and its
// hosts publish.
//
// Source:     RFC 3207, RFC 8314, RFC 7435 (opportunistic by default), RFC 7672 (dane.h), RFC 8461 (MTA-STS).
// Non-goals:  connecting; the fall back to clear text after handshakes that failed (attempt.h).
// Threading:  one owner, the coroutine of the attempt.
#ifndef HIKYAKU_LIB_DELIVERY_HOST_TLS_H_
#define HIKYAKU_LIB_DELIVERY_HOST_TLS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/clock.h"
#include "lib/delivery/dane.h"
#include "lib/delivery/plan.h"
#include "lib/delivery/route.h"
#include "lib/delivery/tls_policy.h"
#include "lib/dns/resolver.h"
#include "lib/mta_sts/policies.h"
#include "lib/net/asio.h"
#include "lib/net/dialer.h"
#include "lib/outcome/outcome.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

// The policy in the words of a report on TLS (RFC 8460 §4.4).
struct ReportedPolicy {
  std::string type = "no-policy-found";  // Or "tlsa", "sts".
  std::string domain;                    // Of the policy: the recipients' domain, or for "tlsa" the host.
  std::vector<std::string> strings;
  std::string failure = {};  // Of the policy itself: a result-type (§4.3), "dnssec-invalid"; empty: it can be followed.
};

// What a connection to one host must be, and by whose word.
struct HostPolicy {
  TlsDemand demand;
  std::string level;  // "verify"; for people.
  std::string rule;   // "delivery.routes[2] (example.net)".
  ReportedPolicy report;
  bool listed = false;  // An MTA-STS policy that is enforced names the host.
  // The host cannot be used now: nobody connects to it, the next one is asked, and the mail waits if none works.
  std::optional<outcome::Outcome> trouble;

  std::string Text() const;  // "verify by delivery.routes[2] (example.net)"
};

// Where MTA-STS policies come from.
struct StsDoor {
  mta_sts::Policies* policies = nullptr;  // Null: there is no MTA-STS.
  queue::Shard* shard = nullptr;          // Keeps the domain's policy; null: nobody does.
  std::shared_ptr<net::Dialer> dialer = nullptr;
};

// What it needs; all outlive it.
struct HostTlsEnv {
  const TlsSettings& settings;
  dns::Resolver& resolver;
  Clock& clock;
  Budget& budget;
  StsDoor sts = {};
};

class HostTls {
 public:
  // `domain` is the recipients', `hop` its route, to a host.
  HostTls(HostTlsEnv env, std::string domain, const NextHop& hop);

  // Looks up what the domain publishes; once, before For. kCancelled: we are stopping.
  awaitable<absl::Status> Prepare();

  // Looks up what `host` publishes, and decides. kCancelled: we are stopping.
  awaitable<absl::StatusOr<HostPolicy>> For(const PlannedHost& host);

  // What Prepare found of MTA-STS; nothing where it was not to look, or has not.
  const std::optional<mta_sts::Found>& sts() const { return sts_; }

 private:
  HostPolicy Configured() const;
  awaitable<absl::StatusOr<DaneDecision>> AskDane(const PlannedHost& host);
  void ApplyDane(DaneDecision decision, const PlannedHost& host, HostPolicy* policy) const;
  awaitable<absl::Status> PrepareSts();
  void ApplySts(const PlannedHost& host, HostPolicy* policy) const;

  const HostTlsEnv env_;
  const std::string domain_;
  const NextHop hop_;
  const TlsPolicy configured_;
  std::optional<mta_sts::Found> sts_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_HOST_TLS_H_
