// HMAC and PBKDF2 with SHA-256.
//
// Source:    RFC 2104 (HMAC), RFC 8018 §5.2 (PBKDF2).
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_CRYPTO_HMAC_H_
#define HIKYAKU_LIB_CRYPTO_HMAC_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::crypto {

// 32 bytes.
std::string HmacSha256(absl::string_view key, absl::string_view data);

// 32 bytes. Takes time in proportion to `iterations` (some 0.3 µs each): bound what a peer chooses.
std::string Pbkdf2Sha256(absl::string_view password, absl::string_view salt, std::uint32_t iterations);

}  // namespace hikyaku::crypto

#endif  // HIKYAKU_LIB_CRYPTO_HMAC_H_
