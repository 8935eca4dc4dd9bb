#include "tests/sim/zones.h"

#include <string>
#include <utility>

#include "tests/sim/domains.h"
#include "tests/sim/secrets.h"
#include "tests/unit/tls/tlsa_of.h"

namespace hikyaku::sim {
namespace {

constexpr int kAuthority = 2;  // DANE-TA.
constexpr int kItself = 3;     // DANE-EE.
constexpr int kKey = 1;        // SPKI: certificates differ from one process to the next, keys do not.

dns::TlsaRecord Record(int usage, int matching, const tls::Identity& identity) {
  tls::TlsaRecord record = tls::TlsaOf(usage, kKey, matching, identity);
  return {record.usage, record.selector, record.matching, std::move(record.data)};
}

// Each host has another form.
dns::TlsaRecord OfGood(int host) {
  const tls::Identity& good = IdentityOf(HostName(host), Certificate::kGood);
  switch (host) {
    case 3: return Record(kAuthority, 0, Authority());
    case 4: return Record(kItself, 2, good);
    case 5: return Record(kItself, 0, good);
    default: return Record(kItself, 1, good);
  }
}

}  // namespace

Zones::Zones() { HealAll(); }

void Zones::HealAll() {
  codes_.assign(kDomains, absl::StatusCode::kOk);
  unsigned_domains_.assign(kDomains, false);
  unsigned_hosts_.assign(kHosts, false);
  tlsa_.assign(kHosts, Tlsa::kNone);
  for (int host = 0; host < kHosts; ++host) {
    if (HasTlsa(host)) tlsa(host) = Tlsa::kGood;
  }
}

bool Zones::DomainIsProved(int domain) const {
  return IsSignedDomain(domain) && !unsigned_domains_[static_cast<std::size_t>(domain)];
}

bool Zones::HostIsProved(int host) const {
  return IsSignedHost(host) && !unsigned_hosts_[static_cast<std::size_t>(host)];
}

std::vector<dns::TlsaRecord> TlsaRecordsOf(int host, Tlsa state) {
  // Of two digests the stronger one counts alone (RFC 7671 §9): a zone that has both keys gives both in one form.
  const int matching = host == 4 ? 2 : 1;
  const dns::TlsaRecord other = Record(kItself, matching, IdentityOf(HostName(host), Certificate::kSelfSigned));
  const dns::TlsaRecord usage_of_authorities = {1, kKey, 1, other.data};
  switch (state) {
    case Tlsa::kGood:
    case Tlsa::kUnproved: return {usage_of_authorities, OfGood(host)};
    case Tlsa::kOther: return {other};
    case Tlsa::kBoth: return {OfGood(host), other};
    case Tlsa::kUnusable: return {usage_of_authorities, {kItself, kKey, 1, "too short"}};
    default: return {};
  }
}

}  // namespace hikyaku::sim
