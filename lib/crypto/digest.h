// Message digests and the comparison of secrets.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_CRYPTO_DIGEST_H_
#define HIKYAKU_LIB_CRYPTO_DIGEST_H_

#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::crypto {

// SHA-256 of `data` (FIPS 180-4): 32 bytes.
std::string Sha256(absl::string_view data);

// Whether the two are equal, in a time that depends on their lengths only.
bool EqualConstantTime(absl::string_view a, absl::string_view b);

}  // namespace hikyaku::crypto

#endif  // HIKYAKU_LIB_CRYPTO_DIGEST_H_
