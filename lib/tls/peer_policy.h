// What a peer must prove of itself in the handshake, and whether its certificates do.
//
// Source:     RFC 5280 (chain), RFC 6125 (name: dNSName alone, a wildcard stands for the whole first label),
//             RFC 8461 §4.1 (the same rules for MTA-STS); dane.h.
// Non-goals:  revocation (no OCSP, no CRL); which policy holds for whom (lib/delivery).
// Threading:  pure functions; TrustRoots is constant and safe from every thread.
#ifndef HIKYAKU_LIB_TLS_PEER_POLICY_H_
#define HIKYAKU_LIB_TLS_PEER_POLICY_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/tls/dane.h"
#include "lib/tls/peer_proof.h"

struct x509_store_st;

namespace hikyaku::tls {

// The authorities that are believed.
class TrustRoots {
 public:
  // Believes nobody.
  TrustRoots();
  ~TrustRoots();

  // kInvalidArgument says what is wrong with `pem`.
  static absl::StatusOr<std::shared_ptr<const TrustRoots>> FromPem(absl::string_view pem);

  x509_store_st* store() const { return store_; }

 private:
  x509_store_st* store_;
};

struct PeerPolicy {
  // The next hop's name, an A-label: what SNI says and the certificate must bear. Or an address literal with brackets:
  // no SNI then, and the certificate must bear the address.
  std::string host;
  // A peer that does not prove itself is refused within the handshake. False: it is talked to all the same, and marked.
  bool enforce = false;
  // Instead of authorities, the TLSA records of the host say what proves it; then `host` is only what SNI says.
  std::optional<DaneDemand> dane = {};

  // Sessions are resumed only where all of the policy is the same.
  std::string CacheKey() const;

  bool operator==(const PeerPolicy&) const = default;
};

// Judges the chain that a peer sent (DER, its own certificate first) at `now`.
PeerProof JudgePeer(absl::Span<const absl::string_view> chain, const PeerPolicy& policy, const TrustRoots& roots,
                    absl::Time now);

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_PEER_POLICY_H_
