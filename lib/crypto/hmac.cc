#include "lib/crypto/hmac.h"

#include "lib/base/check.h"
#include "openssl/evp.h"
#include "openssl/hmac.h"
#include "openssl/sha.h"

namespace hikyaku::crypto {
namespace {

const std::uint8_t* Bytes(absl::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

}  // namespace

std::string HmacSha256(absl::string_view key, absl::string_view data) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  unsigned int size = 0;
  HIKYAKU_CHECK(HMAC(EVP_sha256(), key.data(), key.size(), Bytes(data), data.size(),
                     reinterpret_cast<std::uint8_t*>(out.data()), &size) != nullptr);
  return out;
}

std::string Pbkdf2Sha256(absl::string_view password, absl::string_view salt, std::uint32_t iterations) {
  std::string out(SHA256_DIGEST_LENGTH, '\0');
  HIKYAKU_CHECK(PKCS5_PBKDF2_HMAC(password.data(), password.size(), Bytes(salt), salt.size(), iterations, EVP_sha256(),
                                  out.size(), reinterpret_cast<std::uint8_t*>(out.data())) == 1);
  return out;
}

}  // namespace hikyaku::crypto
