// Makes certificates: for a receiver that people try things with (`hikyaku sink --tls`), and for tests.
//
// Source:    RFC 5280. Keys are ECDSA on P-256.
// Non-goals: an authority for production.
// Threading: pure functions.
#ifndef HIKYAKU_LIB_TLS_MAKE_CERTIFICATE_H_
#define HIKYAKU_LIB_TLS_MAKE_CERTIFICATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace hikyaku::tls {

// PEM texts.
struct Identity {
  std::string certificate;
  std::string key;
};

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> dns_names;
  bool authority = false;  // May issue others.
  std::string key = {};    // PEM, on P-256, as for a renewal; empty: a new one is made.
  absl::Time not_before;
  absl::Time not_after;
};

// A certificate issued by `issuer`, or by itself where that is null.
// kInvalidArgument: `issuer` or the key cannot be read.
absl::StatusOr<Identity> MakeCertificate(const CertificateRequest& request, const Identity* issuer = nullptr);

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_MAKE_CERTIFICATE_H_
