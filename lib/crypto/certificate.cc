#include "lib/crypto/certificate.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "openssl/asn1.h"
#include "openssl/base.h"
#include "openssl/bio.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/pem.h"
#include "openssl/stack.h"
#include "openssl/x509.h"

namespace hikyaku::crypto {
namespace {

// Far more than an authority and its intermediates need.
constexpr std::size_t kMaxPem = 1 << 20;
constexpr std::size_t kMaxCertificates = 100;

bssl::UniquePtr<BIO> Open(absl::string_view pem) {
  return bssl::UniquePtr<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// Refuses encrypted keys, rather than asking at the terminal.
int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<bssl::UniquePtr<STACK_OF(X509)>> ReadCertificates(absl::string_view pem) {
  if (pem.size() > kMaxPem) return absl::InvalidArgumentError("is larger than 1MiB");
  const bssl::UniquePtr<BIO> in = Open(pem);
  bssl::UniquePtr<STACK_OF(X509)> found(sk_X509_new_null());
  while (sk_X509_num(found.get()) < kMaxCertificates) {
    bssl::UniquePtr<X509> one(PEM_read_bio_X509(in.get(), nullptr, NoPassword, nullptr));
    if (one == nullptr) break;
    bssl::PushToStack(found.get(), std::move(one));
  }
  // The last try ends with "no start line"; anything else is damage.
  const bool damaged = ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (sk_X509_num(found.get()) == 0 || damaged) return absl::InvalidArgumentError("holds no certificate in PEM");
  return found;
}

// Lets dates be.
int IgnoreDates(int ok, X509_STORE_CTX* context) {
  const int error = X509_STORE_CTX_get_error(context);
  return ok || error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
}

}  // namespace

absl::StatusOr<absl::Time> CertificateExpiry(absl::string_view pem) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificates(pem));
  bssl::UniquePtr<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (!ASN1_TIME_diff(&days, &seconds, epoch.get(), X509_get0_notAfter(sk_X509_value(chain.get(), 0)))) {
    return absl::InvalidArgumentError("holds a certificate without a readable date");
  }
  return absl::UnixEpoch() + absl::Hours(24) * days + absl::Seconds(seconds);
}

absl::Status CheckKey(absl::string_view certificate, absl::string_view key) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificates(certificate));
  if (key.size() > kMaxPem) return absl::InvalidArgumentError("is larger than 1MiB");
  const bssl::UniquePtr<EVP_PKEY> read(PEM_read_bio_PrivateKey(Open(key).get(), nullptr, NoPassword, nullptr));
  const bool fits = read != nullptr && X509_check_private_key(sk_X509_value(chain.get(), 0), read.get()) == 1;
  ERR_clear_error();
  if (read == nullptr) return absl::InvalidArgumentError("holds no private key in PEM without a password");
  if (!fits) return absl::InvalidArgumentError("is not the key of the certificate");
  return absl::OkStatus();
}

absl::Status CheckIssuer(absl::string_view certificate, absl::string_view ca) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificates(certificate));
  ASSIGN_OR_RETURN(const auto authorities, ReadCertificates(ca));
  bssl::UniquePtr<X509_STORE> store(X509_STORE_new());
  for (std::size_t i = 0; i < sk_X509_num(authorities.get()); ++i) {
    X509_STORE_add_cert(store.get(), sk_X509_value(authorities.get(), i));
  }
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (!X509_STORE_CTX_init(context.get(), store.get(), sk_X509_value(chain.get(), 0), chain.get())) {
    return absl::InternalError("cannot be checked");
  }
  X509_STORE_CTX_set_verify_cb(context.get(), IgnoreDates);
  const bool issued = X509_verify_cert(context.get()) == 1;
  const std::string why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  ERR_clear_error();
  if (!issued) return absl::InvalidArgumentError(absl::StrCat("was not issued by the authority (", why, ")"));
  return absl::OkStatus();
}

}  // namespace hikyaku::crypto
