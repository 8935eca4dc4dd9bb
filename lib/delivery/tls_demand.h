// What a connection must be, as TLS goes: part of what makes two connections alike, so that what one domain asks for
// never serves, or spares, another.
//
// Threading:  plain values.
#ifndef HIKYAKU_LIB_DELIVERY_TLS_DEMAND_H_
#define HIKYAKU_LIB_DELIVERY_TLS_DEMAND_H_

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "lib/tls/dane.h"
#include "lib/tls/peer_policy.h"

namespace hikyaku::delivery {

// The ladder: each step asks for more than the one before; the last two are for DNS to fill in, and never in a demand.
enum class TlsLevel {
  kNone,           // Clear text.
  kOpportunistic,  // TLS where the host offers it, whoever it is.
  kRequire,        // TLS, whoever the host is.
  kVerify,         // TLS with a host that proves its name by its certificate.
  kDane,           // As the host's TLSA records say; where it has none, kOpportunistic.
  kDaneOnly,       // As they say; where they say nothing that can be checked, the host is not used.
};

absl::string_view TlsLevelName(TlsLevel level);  // none, opportunistic, require, verify, dane, dane_only

struct TlsDemand {
  TlsLevel level = TlsLevel::kNone;
  bool implicit = false;                     // TLS from the first octet (RFC 8314 §3.3); level is kRequire at least.
  std::optional<tls::DaneDemand> dane = {};  // How the host proves itself, with kVerify; nothing: by authorities.
  bool no_login = false;  // It cannot prove itself as it should: no password is shown to it, whatever a route allows.

  bool operator==(const TlsDemand&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const TlsDemand& demand) {
    h = H::combine(std::move(h), demand.level, demand.implicit, demand.dane.has_value(), demand.no_login);
    return demand.dane ? H::combine(std::move(h), *demand.dane) : std::move(h);
  }
};

// Why a connection is not what its demand asks for.
struct TlsFailure {
  enum class What {
    kDenied,     // The host does not offer STARTTLS, or refuses it.
    kHandshake,  // The handshake failed.
    kUnproved,   // The host did not prove that it is the one that was meant.
  };
  What what = What::kHandshake;
  std::string why;  // Empty: it was not offered.
  tls::Flaw flaw = tls::Flaw::kNone;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_TLS_DEMAND_H_
