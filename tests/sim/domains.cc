#include "tests/sim/domains.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace hikyaku::sim {
namespace {

using delivery::TlsLevel;

int NumberOf(absl::string_view name, absl::string_view prefix, int count) {
  int number = -1;
  const bool formed =
      absl::ConsumePrefix(&name, prefix) && absl::ConsumeSuffix(&name, ".test") && absl::SimpleAtoi(name, &number);
  return formed && number < count ? number : -1;
}

}  // namespace

std::string DomainName(int number) { return absl::StrCat("d", number, ".test"); }

std::string HostName(int number) { return absl::StrCat("mx", number % kHosts, ".test"); }

int DomainNumber(absl::string_view name) { return NumberOf(name, "d", kDomains); }

int HostNumber(absl::string_view name) { return NumberOf(name, "mx", kHosts); }

std::vector<int> HostsOf(absl::string_view domain) {
  const int number = DomainNumber(domain);
  return {number % kHosts, (number + 1) % kHosts};
}

TlsLevel PolicyOf(absl::string_view domain) {
  static constexpr std::array<TlsLevel, kDomains> kPolicies = {
      TlsLevel::kNone, TlsLevel::kVerify,  TlsLevel::kRequire,       TlsLevel::kOpportunistic, TlsLevel::kVerify,
      TlsLevel::kNone, TlsLevel::kRequire, TlsLevel::kOpportunistic, TlsLevel::kRequire,       TlsLevel::kOpportunistic,
      TlsLevel::kDane, TlsLevel::kDane,    TlsLevel::kDaneOnly,      TlsLevel::kDane,          TlsLevel::kDane,
  };
  return kPolicies[static_cast<std::size_t>(DomainNumber(domain))];
}

bool Sts::Lists(int host) const { return std::find(hosts.begin(), hosts.end(), host) != hosts.end(); }

Sts StsOf(absl::string_view domain) {
  switch (DomainNumber(domain)) {
    case 2: return {Sts::kEnforce, {2, 3}};
    case 5: return {Sts::kEnforce, {5, 6}};  // Whose operator asks for no TLS at all.
    case 7: return {Sts::kTesting, {7}};
    case 9: return {Sts::kEnforce, {1}};
    case 11: return {Sts::kEnforce, {3}};  // Where TLSA records speak, it has no say.
    default: return {};
  }
}

// d13.test is not, though its operator asks for DANE and its hosts have TLSA records.
bool IsSignedDomain(int domain) { return domain == 10 || domain == 11 || domain == 12 || domain == 14; }

bool IsSignedHost(int host) { return host >= 2 && host <= 6; }

bool HasTlsa(int host) { return host >= 2 && host <= 5; }

// Neither host of d14.test does, so that there is nothing to wait for.
bool AnnouncesRequireTls(int host) { return host == 1 || host == 2 || host == 4 || host == 5; }

bool WantsTlsReports(int domain) { return domain != 1 && domain != 6; }

std::vector<std::string> TlsReportReceivers(int domain) {
  if (!WantsTlsReports(domain)) return {};
  if (domain == 3) return {DomainName(3), DomainName(6)};
  return {DomainName(domain)};
}

}  // namespace hikyaku::sim
