#include "lib/tls/pem.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "openssl/bio.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/pem.h"
#include "openssl/x509.h"

namespace hikyaku::tls {
namespace {

constexpr std::size_t kMaxPem = 4 << 20;  // A system's bundle of roots has 250 KiB.

bssl::UniquePtr<BIO> Open(absl::string_view pem) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Refuses encrypted keys, rather than asking at the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

}  // namespace

absl::StatusOr<std::vector<bssl::UniquePtr<X509>>> ReadCertificates(absl::string_view pem, std::size_t most) {
  if (pem.size() > kMaxPem) return absl::InvalidArgumentError("is larger than 4MiB");
  const bssl::UniquePtr<BIO> in = Open(pem);
  std::vector<bssl::UniquePtr<X509>> found;
  ERR_clear_error();
  for (;;) {
    bssl::UniquePtr<X509> one(PEM_read_bio_X509(in.get(), nullptr, NoPassword, nullptr));
    if (one == nullptr) break;
    if (found.size() == most)
      return absl::InvalidArgumentError(absl::StrCat("holds more than ", most, " certificates"));
    found.push_back(std::move(one));
  }
  // The last try ends with "no start line"; anything else is damage.
  const bool damaged = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (found.empty() || damaged) return absl::InvalidArgumentError("holds no certificate in PEM");
  return found;
}

absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadKey(absl::string_view pem) {
  if (pem.size() > kMaxPem) return absl::InvalidArgumentError("is larger than 4MiB");
  bssl::UniquePtr<EVP_PKEY> key(PEM_read_bio_PrivateKey(Open(pem).get(), nullptr, NoPassword, nullptr));
  ERR_clear_error();
  if (key == nullptr) return absl::InvalidArgumentError("holds no private key in PEM without a password");
  return key;
}

std::string TakeError() {
  const std::uint32_t error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "";
  const char* const reason = ERR_reason_error_string(error);
  return reason != nullptr ? reason : absl::StrCat("error ", error);
}

}  // namespace hikyaku::tls
