#include "lib/tls/make_certificate.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/tls/pem.h"
#include "openssl/bio.h"
#include "openssl/bn.h"
#include "openssl/digest.h"
#include "openssl/ec.h"
#include "openssl/ec_key.h"
#include "openssl/evp.h"
#include "openssl/nid.h"
#include "openssl/pem.h"
#include "openssl/rand.h"
#include "openssl/x509.h"
#include "openssl/x509v3.h"

namespace hikyaku::tls {
namespace {

constexpr long kVersion3 = 2;
constexpr int kSerialBits = 120;

bssl::UniquePtr<EVP_PKEY> MakeKey() {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  HIKYAKU_CHECK(EC_KEY_generate_key(ec.get()) == 1 && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) == 1);
  return key;
}

void SetSerial(X509* certificate) {
  bssl::UniquePtr<BIGNUM> number(BN_new());
  BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY);
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  bssl::UniquePtr<X509_EXTENSION> extension(X509V3_EXT_nconf_nid(nullptr, nullptr, nid, value.c_str()));
  HIKYAKU_CHECK(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1);
}

template <typename Write>
std::string ToPem(Write write) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  HIKYAKU_CHECK(write(out.get()) == 1);
  const std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  BIO_mem_contents(out.get(), &bytes, &size);
  return std::string(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace

absl::StatusOr<Identity> MakeCertificate(const CertificateRequest& request, const Identity* issuer) {
  bssl::UniquePtr<EVP_PKEY> key;
  if (request.key.empty()) {
    key = MakeKey();
  } else {
    ASSIGN_OR_RETURN(key, ReadKey(request.key));
  }
  bssl::UniquePtr<X509> certificate(X509_new());
  X509_set_version(certificate.get(), kVersion3);
  SetSerial(certificate.get());
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(request.not_before));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(request.not_after));
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* const subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const std::uint8_t*>(request.common_name.data()),
                             static_cast<int>(request.common_name.size()), -1, 0);
  AddExtension(certificate.get(), NID_basic_constraints, request.authority ? "critical,CA:TRUE" : "CA:FALSE");
  if (!request.dns_names.empty()) {
    AddExtension(certificate.get(), NID_subject_alt_name,
                 absl::StrCat("DNS:", absl::StrJoin(request.dns_names, ",DNS:")));
  }
  if (issuer != nullptr) {
    ASSIGN_OR_RETURN(const auto chain, ReadCertificates(issuer->certificate, 10));
    ASSIGN_OR_RETURN(const auto signer, ReadKey(issuer->key));
    X509_set_issuer_name(certificate.get(), X509_get_subject_name(chain[0].get()));
    X509_sign(certificate.get(), signer.get(), EVP_sha256());
  } else {
    X509_set_issuer_name(certificate.get(), subject);
    X509_sign(certificate.get(), key.get(), EVP_sha256());
  }
  Identity made;
  made.certificate = ToPem([&](BIO* out) { return PEM_write_bio_X509(out, certificate.get()); });
  made.key = ToPem(
      [&](BIO* out) { return PEM_write_bio_PKCS8PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  return made;
}

}  // namespace hikyaku::tls
