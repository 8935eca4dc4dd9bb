#include "lib/tls/dane_check.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/mem.h"
#include "openssl/sha.h"
#include "openssl/x509.h"

namespace hikyaku::tls {
namespace {

const std::uint8_t* Octets(absl::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

template <std::size_t kSize>
std::string Digest(absl::string_view data, std::uint8_t* (*digest)(const std::uint8_t*, std::size_t, std::uint8_t*)) {
  std::string made(kSize, '\0');
  digest(Octets(data), data.size(), reinterpret_cast<std::uint8_t*>(made.data()));
  return made;
}

std::string KeyOf(const X509* certificate) {
  std::uint8_t* bytes = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &bytes);
  std::string der;
  if (size > 0) der.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

// One certificate in the forms that records have; each is made once.
class Forms {
 public:
  Forms(X509* certificate, absl::string_view der) : certificate_(certificate), der_(der) {}

  bool Fits(const TlsaRecord& record) {
    const std::string& form = Form(record.selector & 1, record.matching % 3);
    return form.size() == record.data.size() && CRYPTO_memcmp(form.data(), record.data.data(), form.size()) == 0;
  }

 private:
  const std::string& Form(std::size_t selector, std::size_t matching) {
    std::optional<std::string>& form = forms_[selector * 3 + matching];
    if (form) return *form;
    if (matching == 1) form = Digest<SHA256_DIGEST_LENGTH>(Form(selector, 0), SHA256);
    if (matching == 2) form = Digest<SHA512_DIGEST_LENGTH>(Form(selector, 0), SHA512);
    if (matching == 0 && selector == 0) form = std::string(der_);
    if (matching == 0 && selector == 1) form = KeyOf(certificate_);
    return *form;
  }

  const X509* certificate_;
  absl::string_view der_;
  std::array<std::optional<std::string>, 6> forms_;
};

// Adds to `anchors` what `record` (of an authority) stands for.
void AddAnchors(const TlsaRecord& record, const Chain& chain, std::vector<Forms>& forms, X509_STORE* anchors) {
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (forms[i].Fits(record)) X509_STORE_add_cert(anchors, chain.at(i));
  }
  if (record.matching != 0) return;
  if (record.selector == 0) {
    if (const auto authority = ParseCertificate(record.data)) X509_STORE_add_cert(anchors, authority.get());
    return;
  }
  // A bare key: what it signed is as good as itself. The authority's own certificate need not be sent.
  const bssl::UniquePtr<EVP_PKEY> key = ParseKey(record.data);
  for (std::size_t i = 0; key != nullptr && i < chain.size(); ++i) {
    if (X509_verify(chain.at(i), key.get()) == 1) X509_STORE_add_cert(anchors, chain.at(i));
  }
}

}  // namespace

PeerProof JudgeDane(Chain chain, const DaneDemand& demand, absl::Time now) {
  std::vector<Forms> forms;
  for (std::size_t i = 0; i < chain.size(); ++i) forms.emplace_back(chain.at(i), chain.sent[i]);
  const bssl::UniquePtr<X509_STORE> anchors(X509_STORE_new());
  for (const TlsaRecord& record : demand.records) {
    if (record.usage == 3 && forms[0].Fits(record)) {
      chain.proof.verified = true;
      return std::move(chain.proof);
    }
    if (record.usage == 2) AddAnchors(record, chain, forms, anchors.get());
  }
  ERR_clear_error();  // An authority that is added twice is no harm.
  if (sk_X509_OBJECT_num(X509_STORE_get0_objects(anchors.get())) == 0) {
    chain.proof.flaw = Flaw::kNotTrusted;
    chain.proof.why = absl::StrCat("the certificate fits none of the TLSA records of ", demand.base);
    return std::move(chain.proof);
  }
  Path path;
  path.anchors = anchors.get();
  path.names = demand.other_names;
  path.names.insert(path.names.begin(), demand.base);
  path.any_certificate_is_an_end = true;
  path.now = now;
  return Verify(std::move(chain), path);
}

std::string DaneKey(const DaneDemand& demand) {
  std::string all = absl::StrCat(demand.base, "\n");
  for (const std::string& name : demand.other_names) absl::StrAppend(&all, name, "\n");
  for (const TlsaRecord& record : demand.records) {
    absl::StrAppend(&all, record.usage, " ", record.selector, " ", record.matching, " ", record.data.size(), " ");
    all += record.data;
  }
  return absl::BytesToHexString(Digest<SHA256_DIGEST_LENGTH>(all, SHA256));
}

}  // namespace hikyaku::tls
