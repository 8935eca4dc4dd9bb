// What the DNS of the world says now, and what is wrong with it: of each domain, and of each host.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_ZONES_H_
#define HIKYAKU_TESTS_SIM_ZONES_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "lib/dns/resolver.h"

namespace hikyaku::sim {

// What the DNS says of a host's TLSA records.
enum class Tlsa {
  kNone,      // There are none, which is proved.
  kGood,      // Of the key of its good certificate.
  kOther,     // Of that of its self-signed one: a rollover of which one half was forgotten.
  kBoth,      // As it is in the middle of a sound one.
  kUnusable,  // Of forms that prove nothing.
  kUnproved,  // As kGood, but nobody signed them.
  kFails,     // SERVFAIL: bogus, or a server is down.
  kMute,      // No answer.
  kCount,
};

class Zones {
 public:
  Zones();

  // Of a domain: kOk, kUnavailable (SERVFAIL), kNotFound (NXDOMAIN), kDeadlineExceeded (silence).
  absl::StatusCode& code(int domain) { return codes_[static_cast<std::size_t>(domain)]; }

  Tlsa& tlsa(int host) { return tlsa_[static_cast<std::size_t>(host)]; }
  Tlsa tlsa(int host) const { return tlsa_[static_cast<std::size_t>(host)]; }

  // Its signatures are gone, and its parent says so: what it says is not proved.
  std::vector<bool>::reference unsigned_domain(int domain) {
    return unsigned_domains_[static_cast<std::size_t>(domain)];
  }
  std::vector<bool>::reference unsigned_host(int host) { return unsigned_hosts_[static_cast<std::size_t>(host)]; }

  bool DomainIsProved(int domain) const;
  bool HostIsProved(int host) const;

  void HealAll();

 private:
  std::vector<absl::StatusCode> codes_;
  std::vector<Tlsa> tlsa_;
  std::vector<bool> unsigned_domains_, unsigned_hosts_;
};

// The records of a host, for a state that has some.
std::vector<dns::TlsaRecord> TlsaRecordsOf(int host, Tlsa state);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_ZONES_H_
