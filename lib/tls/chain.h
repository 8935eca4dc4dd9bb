// The certificates that a peer sent, and whether a path leads from the first to one that is believed: for the .cc files
// of lib/tls alone, since it includes BoringSSL.
//
// Source:    RFC 5280, RFC 6125.
// Threading: pure functions.
#ifndef HIKYAKU_LIB_TLS_CHAIN_H_
#define HIKYAKU_LIB_TLS_CHAIN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/tls/peer_proof.h"
#include "openssl/base.h"
#include "openssl/x509.h"

namespace hikyaku::tls {

// A chain on the public web has 2 to 4; each certificate costs a signature check.
inline constexpr std::size_t kMaxChain = 10;

// Null where `der` is anything but one certificate.
bssl::UniquePtr<X509> ParseCertificate(absl::string_view der);

// Null where `der` is anything but one SubjectPublicKeyInfo of a kind that we know.
bssl::UniquePtr<EVP_PKEY> ParseKey(absl::string_view der);

struct Chain {
  absl::Span<const absl::string_view> sent;
  bssl::UniquePtr<STACK_OF(X509)> certificates;  // Null where they cannot be used; `proof` says why.
  PeerProof proof;                               // `peer` where the first can be read; not verified yet.

  X509* at(std::size_t index) const { return sk_X509_value(certificates.get(), index); }
  std::size_t size() const { return sk_X509_num(certificates.get()); }
};

// DER, the peer's own certificate first; outlives the answer.
Chain ReadChain(absl::Span<const absl::string_view> sent);

struct Path {
  X509_STORE* anchors = nullptr;   // Who is believed.
  std::vector<std::string> names;  // One of them must be in the certificate; one that is a literal has brackets.
  bool any_certificate_is_an_end = false;  // A believed certificate need not have signed itself.
  absl::Time now;
};

// `chain` has certificates.
PeerProof Verify(Chain chain, const Path& path);

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_CHAIN_H_
