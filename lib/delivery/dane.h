// Which TLS a host's TLSA records ask for.
//
// Source:     RFC 7672 §2.2 (when they are looked up, and what each answer means), §3.1 (which are of use).
// Non-goals:  the check of the certificate (lib/tls/dane.h); what else a policy asks for (host_tls.h).
// Threading:  pure functions; a look-up is one coroutine.
//
//   The way to the host (MX and addresses)   TLSA answer              Then
//   not proved by DNSSEC                     not asked                as if there were no DANE
//   proved                                   records, some of use     TLS with a host that one of them proves
//   proved                                   records, none of use     TLS with whoever it is, and no password
//   proved                                   none, or not proved      as if there were no DANE
//   proved                                   failure, or bogus        the host is passed over
#ifndef HIKYAKU_LIB_DELIVERY_DANE_H_
#define HIKYAKU_LIB_DELIVERY_DANE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/dns/resolver.h"
#include "lib/net/asio.h"
#include "lib/tls/dane.h"

namespace hikyaku::delivery {

enum class DaneResult {
  kOk,             // Records that the host can be proved by. As a count: it was.
  kUnusable,       // Records, but none of use.
  kNotApplicable,  // No records.
  kInsecureChain,  // DNSSEC does not prove the way to them.
  kTempFail,       // They cannot be looked up.
  kMismatch,       // Only counted: the host did not fit its records.
};

// hikyaku_dane_results_total.
void CountDane(DaneResult result);

// What DNS said of a host, as far as it was asked.
struct DaneFacts {
  bool literal = false;         // The host is an address: it has no records.
  bool name_proved = false;     // That mail goes to this host.
  bool address_proved = false;  // Its addresses; or where it is an alias, that it is one.
  absl::Status tlsa;            // Of the look-up of TLSA records.
  bool tlsa_proved = false;
  std::vector<dns::TlsaRecord> records;
};

// Whether TLSA records are to be asked for at all.
bool AsksForTlsa(const DaneFacts& facts);

struct DaneDecision {
  DaneResult result = DaneResult::kNotApplicable;
  std::vector<tls::TlsaRecord> records;  // Of use; with kOk.
  std::string base;                      // The host whose records they are.
  std::string why;                       // For people, but for kOk: "mx.example.net has no TLSA records".
};

// The table above; `base` is the host that was asked for.
DaneDecision DecideDane(const DaneFacts& facts, const std::string& base);

// A host as the plan knows it (PlannedHost).
struct DaneHost {
  std::string name;
  std::string alias_of;
  std::uint16_t port = 25;
  bool literal = false;
  bool name_proved = false;
  bool addresses_proved = false;
};

// Looks up the records: of an alias first at its real name, then at its own (RFC 7672 §2.2.2), each look-up within
// `limit`. kCancelled: we are stopping.
awaitable<absl::StatusOr<DaneDecision>> LookUpDane(dns::Resolver& resolver, DaneHost host, absl::Duration limit);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_DANE_H_
