// DANE: a peer proves itself by the TLSA records of its DNS zone instead of by authorities. The library has no DANE of
// its own.
//
// Source:     RFC 6698 §2, RFC 7671 (operation), RFC 7672 §3 (what of it SMTP uses: DANE-TA(2) and DANE-EE(3)).
// Non-goals:  finding records, and whether they may be believed (lib/delivery/dane.h).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_TLS_DANE_H_
#define HIKYAKU_LIB_TLS_DANE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace hikyaku::tls {

// Records of a host that are looked at. A zone that changes its key and its authority at once has four.
inline constexpr std::size_t kMaxTlsaRecords = 32;

struct TlsaRecord {
  std::uint8_t usage = 0;     // 2: the certificate's authority (DANE-TA). 3: the certificate itself (DANE-EE).
  std::uint8_t selector = 0;  // 0: the whole certificate. 1: its public key.
  std::uint8_t matching = 0;  // 0: `data` is that itself. 1: its SHA-256. 2: its SHA-512.
  std::string data;

  auto operator<=>(const TlsaRecord&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const TlsaRecord& record) {
    return H::combine(std::move(h), record.usage, record.selector, record.matching, record.data);
  }
};

// "3 1 1 5c4f…", as in a zone file; long data are cut.
std::string TlsaText(const TlsaRecord& record);

// Those of `records` that a mail host can prove itself by (RFC 7672 §3.1: usages 2 and 3, selectors 0 and 1, matching
// types 0 to 2, data that fit), sorted, at most kMaxTlsaRecords. Where a usage and selector have both digests, only
// those with the stronger one (RFC 7671 §9).
std::vector<TlsaRecord> UsableTlsa(std::vector<TlsaRecord> records);

// What a peer must prove by DANE.
struct DaneDemand {
  std::string base;                      // The host whose records they are (RFC 7672 §2.2.3): SNI says it.
  std::vector<std::string> other_names;  // What a certificate of an authority may bear instead (§3.2.2).
  std::vector<TlsaRecord> records;       // Usable; not empty.

  bool operator==(const DaneDemand&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const DaneDemand& demand) {
    return H::combine(std::move(h), demand.base, demand.other_names, demand.records);
  }
};

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_DANE_H_
