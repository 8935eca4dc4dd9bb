// Keys that sign mail, and keys that check such signatures: RSA with PKCS #1 v1.5 over SHA-256, and Ed25519 over the
// bytes of a SHA-256 digest.
//
// Source:     RFC 6376 §3.3 (rsa-sha256), RFC 8301 (key sizes), RFC 8463 (ed25519-sha256), RFC 8017 §8.2, RFC 8032,
//             RFC 7468 (PEM), RFC 5958 (PKCS #8).
// Non-goals:  files, selectors and domains (lib/delivery); what is signed (lib/dkim).
// Threading:  values that never change and share their key; const methods are safe from every thread.
#ifndef HIKYAKU_LIB_CRYPTO_SIGNING_KEY_H_
#define HIKYAKU_LIB_CRYPTO_SIGNING_KEY_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::crypto {

enum class KeyType { kRsa, kEd25519 };

// RFC 8301 §3.2: signers should use 2048 bits or more, verifiers must take 1024 to 4096. What is larger is refused for
// signing, since receivers need not check it, and for checking, since it only costs time.
inline constexpr int kMinSigningBits = 2048;
inline constexpr int kMinVerifyingBits = 1024;
inline constexpr int kMaxRsaBits = 4096;

// Octets of a digest that is signed.
inline constexpr std::size_t kDigestOctets = 32;

class SigningKey {
 public:
  // Reads one private key in PEM: PKCS #8 ("PRIVATE KEY") or PKCS #1 ("RSA PRIVATE KEY"), without a password.
  // kInvalidArgument: it is none, of another kind, damaged, or too weak or too large to sign. The text reads on after
  // the name of a file: "holds no private key in PEM …".
  static absl::StatusOr<SigningKey> FromPem(absl::string_view pem);

  // A new key; `bits` is of RSA: kMinSigningBits to kMaxRsaBits. kInvalidArgument: it is not.
  static absl::StatusOr<SigningKey> GenerateRsa(int bits);
  static SigningKey GenerateEd25519();

  KeyType type() const;

  // Of an RSA key; 256 for Ed25519.
  int bits() const;

  // The signature of `digest`, kDigestOctets long; the same for the same digest.
  // kInternal: the library failed (memory, a damaged key). Nothing was signed.
  absl::StatusOr<std::string> Sign(absl::string_view digest) const;

  // What a DKIM key record holds: SubjectPublicKeyInfo in DER for RSA, the 32 bytes for Ed25519.
  std::string PublicKey() const;

  // PKCS #8. A secret: to be written where only its owner can read it.
  std::string ToPem() const;

 private:
  struct Impl;
  explicit SigningKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

class VerifyingKey {
 public:
  // Reads what a DKIM key record holds, after base64. RSA: SubjectPublicKeyInfo, or RSAPublicKey, which RFC 6376
  // §3.6.1 names. Ed25519: the 32 bytes.
  // kInvalidArgument: it is none, or RSA below kMinVerifyingBits or above kMaxRsaBits. The text reads on after "the
  // key".
  static absl::StatusOr<VerifyingKey> Parse(KeyType type, absl::string_view bytes);

  KeyType type() const;
  int bits() const;

  // Whether `signature` is that of `digest`. Any bytes may be passed.
  bool Verify(absl::string_view digest, absl::string_view signature) const;

 private:
  struct Impl;
  explicit VerifyingKey(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace hikyaku::crypto

#endif  // HIKYAKU_LIB_CRYPTO_SIGNING_KEY_H_
