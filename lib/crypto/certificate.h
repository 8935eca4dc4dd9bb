// What PEM files of certificates and keys hold, and whether they belong together. Only for saying early and clearly
// what would fail later in a handshake: the handshake itself checks again.
//
// Source:    RFC 5280 (certificates), RFC 7468 (PEM).
// Threading: pure functions.
#ifndef HIKYAKU_LIB_CRYPTO_CERTIFICATE_H_
#define HIKYAKU_LIB_CRYPTO_CERTIFICATE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::crypto {

// When the first of the certificates in `pem` runs out.
// kInvalidArgument: there is none, or it cannot be read. Say so to whoever wrote the file.
absl::StatusOr<absl::Time> CertificateExpiry(absl::string_view pem);

// Whether `key` is the private key of the first certificate in `certificate`.
// kInvalidArgument: one of them cannot be read (encrypted keys cannot), or they do not belong together.
absl::Status CheckKey(absl::string_view certificate, absl::string_view key);

// Whether one of the authorities in `ca` issued the first certificate in `certificate`, by way of the others in it, if
// dates are left aside.
// kInvalidArgument: something cannot be read, or none of them did.
absl::Status CheckIssuer(absl::string_view certificate, absl::string_view ca);

}  // namespace hikyaku::crypto

#endif  // HIKYAKU_LIB_CRYPTO_CERTIFICATE_H_
