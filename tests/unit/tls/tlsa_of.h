// TLSA records of certificates that tests make: by plain cutting of DER, apart from what is tested.
#ifndef HIKYAKU_TESTS_UNIT_TLS_TLSA_OF_H_
#define HIKYAKU_TESTS_UNIT_TLS_TLSA_OF_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "lib/base/check.h"
#include "lib/tls/dane.h"
#include "lib/tls/make_certificate.h"
#include "openssl/sha.h"

namespace hikyaku::tls {

// Of the first certificate.
inline std::string DerOf(const Identity& identity) {
  const std::string begin = "-----BEGIN CERTIFICATE-----";
  const std::size_t from = identity.certificate.find(begin) + begin.size();
  const std::string body = identity.certificate.substr(from, identity.certificate.find("-----END", from) - from);
  std::string der;
  HIKYAKU_CHECK(absl::Base64Unescape(absl::StrReplaceAll(body, {{"\n", ""}, {"\r", ""}}), &der));
  return der;
}

// All certificates of the tests have a P-256 key: 91 octets that begin alike.
inline std::string KeyDerOf(const Identity& identity) {
  const std::string der = DerOf(identity);
  const std::size_t at = der.find(absl::HexStringToBytes("3059301306072a8648ce3d020106082a8648ce3d030107034200"));
  HIKYAKU_CHECK(at != std::string::npos);
  return der.substr(at, 91);
}

inline TlsaRecord TlsaOf(int usage, int selector, int matching, const Identity& identity) {
  std::string data = selector == 0 ? DerOf(identity) : KeyDerOf(identity);
  const auto* octets = reinterpret_cast<const std::uint8_t*>(data.data());
  std::uint8_t digest[SHA512_DIGEST_LENGTH];
  if (matching == 1) SHA256(octets, data.size(), digest);
  if (matching == 2) SHA512(octets, data.size(), digest);
  if (matching != 0) data.assign(reinterpret_cast<char*>(digest), matching == 1 ? 32 : 64);
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(matching),
          data};
}

}  // namespace hikyaku::tls

#endif  // HIKYAKU_TESTS_UNIT_TLS_TLSA_OF_H_
