// The map of the world: its domains and their mail hosts, what the operator asks of the way to each, and what each
// publishes. Of two domains that share a host, each asks for something else.
//
// Threading: constant.
#ifndef HIKYAKU_TESTS_SIM_DOMAINS_H_
#define HIKYAKU_TESTS_SIM_DOMAINS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/delivery/tls_demand.h"

namespace hikyaku::sim {

// d0.test to d14.test, mx0.test to mx7.test.
inline constexpr int kDomains = 15;
inline constexpr int kHosts = 8;

std::string DomainName(int number);
std::string HostName(int number);  // Modulo kHosts.

// "d12.test" → 12, "mx3.test" → 3; -1: there is none of that name.
int DomainNumber(absl::string_view name);
int HostNumber(absl::string_view name);

// Domain n has the hosts n and n + 1, modulo their number.
std::vector<int> HostsOf(absl::string_view domain);

// What the operator's routes ask of the way to `domain`.
delivery::TlsLevel PolicyOf(absl::string_view domain);

// What a domain publishes of MTA-STS. It holds where the operator's routes ask for less, but where they ask for none.
struct Sts {
  enum Mode { kNone, kTesting, kEnforce };
  Mode mode = kNone;
  std::vector<int> hosts;  // Which of its MX hosts it lists.

  bool Lists(int host) const;
};
Sts StsOf(absl::string_view domain);

// The zone of the domain's MX records, or of the host's addresses, is signed (DNSSEC).
bool IsSignedDomain(int domain);
bool IsSignedHost(int host);

// The host publishes TLSA records.
bool HasTlsa(int host);

// What a session over TLS promises (RFC 8689).
bool AnnouncesRequireTls(int host);

// Asks for reports on TLS (RFC 8460), to "tls@" each of these domains.
bool WantsTlsReports(int domain);
std::vector<std::string> TlsReportReceivers(int domain);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_DOMAINS_H_
