#include "lib/tls/chain.h"

#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/literal.h"
#include "openssl/bytestring.h"
#include "openssl/err.h"
#include "openssl/evp.h"
#include "openssl/mem.h"
#include "openssl/nid.h"
#include "openssl/obj.h"
#include "openssl/stack.h"
#include "openssl/x509_vfy.h"
#include "openssl/x509v3.h"

namespace hikyaku::tls {
namespace {

constexpr std::size_t kMaxNameText = 200;
constexpr int kMinRsaBits = 2048;

std::string NameText(const X509_NAME* name) {
  std::string text(kMaxNameText, '\0');
  X509_NAME_oneline(name, text.data(), static_cast<int>(text.size()));
  text.resize(text.find('\0'));
  return absl::StartsWith(text, "/") ? text.substr(1) : text;
}

std::string DateText(const ASN1_TIME* time) {
  bssl::UniquePtr<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
  int days = 0;
  int seconds = 0;
  if (!ASN1_TIME_diff(&days, &seconds, epoch.get(), time)) return "?";
  return absl::FormatTime("%Y-%m-%d", absl::UnixEpoch() + absl::Hours(24) * days, absl::UTCTimeZone());
}

std::string PeerText(const X509* leaf) {
  return absl::StrCat(NameText(X509_get_subject_name(leaf)), ", issued by ", NameText(X509_get_issuer_name(leaf)),
                      ", until ", DateText(X509_get0_notAfter(leaf)));
}

Flaw FlawOf(int error) {
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return Flaw::kHostMismatch;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID: return Flaw::kExpired;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: return Flaw::kNotTrusted;
    default: return Flaw::kOther;
  }
}

std::string WhyText(int error, const std::string& name) {
  if (FlawOf(error) == Flaw::kHostMismatch) return absl::StrCat("the certificate is not for ", name);
  return absl::StrCat("the certificate is not trusted: ", X509_verify_cert_error_string(error));
}

// False where one of `names` cannot be a name that a certificate bears.
bool SetNames(const std::vector<std::string>& names, X509_VERIFY_PARAM* param) {
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, "[")) {
      if (X509_VERIFY_PARAM_add1_host(param, name.data(), name.size()) != 1) return false;
      continue;
    }
    const auto literal = address::ParseAddressLiteral(name);
    if (!literal.ok()) return false;
    const absl::string_view bytes = literal->bytes();
    const auto* octets = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (X509_VERIFY_PARAM_set1_ip(param, octets, bytes.size()) != 1) return false;
  }
  return true;
}

// Why a path that leads to somebody believed proves nothing all the same; empty: it does. Its last certificate is
// believed for itself, not for its signature.
std::string Weakness(const STACK_OF(X509) * path) {
  const std::size_t count = sk_X509_num(path);
  for (std::size_t i = 0; i < count; ++i) {
    X509* const certificate = sk_X509_value(path, i);
    const bssl::UniquePtr<EVP_PKEY> key(X509_get_pubkey(certificate));
    if (key == nullptr) return "a key on its path cannot be read";
    const int bits = EVP_PKEY_bits(key.get());
    if (EVP_PKEY_id(key.get()) == EVP_PKEY_RSA && bits < kMinRsaBits) {
      return absl::StrCat("an RSA key on its path has ", bits, " bits, at least ", kMinRsaBits, " are expected");
    }
    int digest = NID_undef;
    const bool known = OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest, nullptr) == 1;
    if (i + 1 < count && known && (digest == NID_sha1 || digest == NID_md5)) {
      return absl::StrCat("a signature on its path is by ", OBJ_nid2sn(digest));
    }
  }
  return "";
}

PeerProof Flawed(PeerProof proof, Flaw flaw, std::string why) {
  proof.flaw = flaw;
  proof.why = std::move(why);
  return proof;
}

}  // namespace

bssl::UniquePtr<X509> ParseCertificate(absl::string_view der) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(der.data());
  const std::uint8_t* at = data;
  bssl::UniquePtr<X509> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (at != data + der.size()) certificate.reset();
  ERR_clear_error();
  return certificate;
}

bssl::UniquePtr<EVP_PKEY> ParseKey(absl::string_view der) {
  CBS in;
  CBS_init(&in, reinterpret_cast<const std::uint8_t*>(der.data()), der.size());
  bssl::UniquePtr<EVP_PKEY> key(EVP_parse_public_key(&in));
  if (CBS_len(&in) != 0) key.reset();
  ERR_clear_error();
  return key;
}

Chain ReadChain(absl::Span<const absl::string_view> sent) {
  Chain chain;
  chain.sent = sent;
  if (sent.empty()) {
    chain.proof = Flawed({}, Flaw::kNoCertificate, "the peer sent no certificate");
    return chain;
  }
  if (sent.size() > kMaxChain) {
    chain.proof = Flawed({}, Flaw::kOther, "the peer sent too many certificates");
    return chain;
  }
  bssl::UniquePtr<STACK_OF(X509)> parsed(sk_X509_new_null());
  for (const absl::string_view der : sent) {
    bssl::UniquePtr<X509> certificate = ParseCertificate(der);
    if (certificate == nullptr) {
      chain.proof = Flawed({}, Flaw::kOther, "the peer sent a certificate that cannot be read");
      return chain;
    }
    bssl::PushToStack(parsed.get(), std::move(certificate));
  }
  chain.certificates = std::move(parsed);
  chain.proof.peer = PeerText(chain.at(0));
  return chain;
}

PeerProof Verify(Chain chain, const Path& path) {
  PeerProof proof = std::move(chain.proof);
  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  const bool ready = X509_STORE_CTX_init(context.get(), path.anchors, chain.at(0), chain.certificates.get()) == 1 &&
                     X509_STORE_CTX_set_default(context.get(), "ssl_server") == 1;
  X509_VERIFY_PARAM* const param = ready ? X509_STORE_CTX_get0_param(context.get()) : nullptr;
  const std::string& name = path.names.front();
  if (!ready || !SetNames(path.names, param)) {
    return Flawed(std::move(proof), Flaw::kOther, absl::StrCat("no certificate can be for ", name));
  }
  if (path.any_certificate_is_an_end) {
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  }
  X509_VERIFY_PARAM_set_time(param, absl::ToTimeT(path.now));
  proof.verified = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (!proof.verified) return Flawed(std::move(proof), FlawOf(error), WhyText(error, name));
  const std::string weak = path.any_certificate_is_an_end ? "" : Weakness(X509_STORE_CTX_get0_chain(context.get()));
  proof.verified = weak.empty();
  if (proof.verified) return proof;
  return Flawed(std::move(proof), Flaw::kOther, absl::StrCat("the certificate is not trusted: ", weak));
}

}  // namespace hikyaku::tls
