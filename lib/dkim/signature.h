// A DKIM-Signature field, read.
//
// Source:     RFC 6376 §3.5; RFC 8301 (no SHA-1); RFC 8463 (Ed25519).
// Threading:  pure.
#ifndef HIKYAKU_LIB_DKIM_SIGNATURE_H_
#define HIKYAKU_LIB_DKIM_SIGNATURE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/crypto/signing_key.h"
#include "lib/dkim/canonical.h"

namespace hikyaku::dkim {

inline constexpr absl::string_view kSignatureField = "DKIM-Signature";

// Names in h=: many times what a signer of today lists.
inline constexpr std::size_t kMaxSignedNames = 1000;

struct Signature {
  crypto::KeyType key_type = crypto::KeyType::kRsa;
  Form header_form = Form::kSimple;
  Form body_form = Form::kSimple;
  std::string domain;                        // d=, lower case.
  std::string selector;                      // s=, lower case.
  std::string identity;                      // i=, or "@" and the domain.
  std::vector<std::string> signed_names;     // h=, lower case, in order.
  std::string body_digest;                   // bh=, decoded.
  std::string bytes;                         // b=, decoded.
  std::optional<std::uint64_t> body_octets;  // l=.
  std::optional<std::int64_t> time;          // t=, Unix seconds.
  std::optional<std::int64_t> expires;       // x=.

  // Where the key is: s._domainkey.d
  std::string KeyName() const;
};

// What a signer and its key are called in a=: "rsa-sha256", "ed25519-sha256".
absl::string_view AlgorithmName(crypto::KeyType type);

// Reads the value of the field: all after its colon.
// kInvalidArgument: it is none that a verifier may believe (permerror); the text says why.
absl::StatusOr<Signature> ParseSignature(absl::string_view value);

// A name that DNS carries and that a tag can hold: labels of letters, digits, "-" and "_".
bool IsDnsName(absl::string_view name);

// `raw`, a whole field, without the value of its tag b=, and without the blanks around that (RFC 6376 §3.7).
std::string WithoutSignatureBytes(absl::string_view raw);

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_SIGNATURE_H_
