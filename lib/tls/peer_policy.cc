#include "lib/tls/peer_policy.h"

#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/literal.h"
#include "lib/base/status_macros.h"
#include "lib/tls/pem.h"
#include "openssl/err.h"
#include "openssl/mem.h"
#include "openssl/stack.h"
#include "openssl/x509.h"
#include "openssl/x509_vfy.h"
#include "openssl/x509v3.h"

namespace hikyaku::tls {
namespace {

constexpr std::size_t kMaxRoots = 1000;
// A chain on the public web has 2 to 4; each certificate costs a signature check.
constexpr std::size_t kMaxChain = 10;
constexpr std::size_t kMaxNameText = 200;

bssl::UniquePtr<X509> Parse(absl::string_view der) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(der.data());
  const std::uint8_t* at = data;
  bssl::UniquePtr<X509> certificate(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (at != data + der.size()) certificate.reset();
  ERR_clear_error();
  return certificate;
}

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

std::string WhyText(int error, const PeerPolicy& policy) {
  if (FlawOf(error) == Flaw::kHostMismatch) return absl::StrCat("the certificate is not for ", policy.host);
  return absl::StrCat("the certificate is not trusted: ", X509_verify_cert_error_string(error));
}

// False where `host` cannot be a name that a certificate bears.
bool SetName(const std::string& host, X509_VERIFY_PARAM* param) {
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (!absl::StartsWith(host, "[")) return X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1;
  const auto literal = address::ParseAddressLiteral(host);
  if (!literal.ok()) return false;
  const absl::string_view bytes = literal->bytes();
  return X509_VERIFY_PARAM_set1_ip(param, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()) == 1;
}

PeerProof Unproved(Flaw flaw, std::string why) {
  PeerProof proof;
  proof.flaw = flaw;
  proof.why = std::move(why);
  return proof;
}

}  // namespace

TrustRoots::TrustRoots() : store_(X509_STORE_new()) {}

TrustRoots::~TrustRoots() { X509_STORE_free(store_); }

absl::StatusOr<std::shared_ptr<const TrustRoots>> TrustRoots::FromPem(absl::string_view pem) {
  ASSIGN_OR_RETURN(const auto certificates, ReadCertificates(pem, kMaxRoots));
  auto roots = std::make_shared<TrustRoots>();
  for (const auto& certificate : certificates) X509_STORE_add_cert(roots->store_, certificate.get());
  ERR_clear_error();  // One that is given twice is no harm.
  return std::shared_ptr<const TrustRoots>(std::move(roots));
}

std::string PeerPolicy::CacheKey() const { return absl::StrCat(enforce ? "!" : "?", host); }

PeerProof JudgePeer(absl::Span<const absl::string_view> chain, const PeerPolicy& policy, const TrustRoots& roots,
                    absl::Time now) {
  if (chain.empty()) return Unproved(Flaw::kNoCertificate, "the peer sent no certificate");
  if (chain.size() > kMaxChain) return Unproved(Flaw::kOther, "the peer sent too many certificates");
  bssl::UniquePtr<STACK_OF(X509)> parsed(sk_X509_new_null());
  for (const absl::string_view der : chain) {
    bssl::UniquePtr<X509> certificate = Parse(der);
    if (certificate == nullptr) return Unproved(Flaw::kOther, "the peer sent a certificate that cannot be read");
    bssl::PushToStack(parsed.get(), std::move(certificate));
  }
  X509* const leaf = sk_X509_value(parsed.get(), 0);
  PeerProof proof;
  proof.peer = PeerText(leaf);

  bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  const bool ready = X509_STORE_CTX_init(context.get(), roots.store(), leaf, parsed.get()) == 1 &&
                     X509_STORE_CTX_set_default(context.get(), "ssl_server") == 1;
  X509_VERIFY_PARAM* const param = ready ? X509_STORE_CTX_get0_param(context.get()) : nullptr;
  if (!ready || !SetName(policy.host, param)) {
    proof.flaw = Flaw::kOther;
    proof.why = absl::StrCat("no certificate can be for ", policy.host);
    return proof;
  }
  X509_VERIFY_PARAM_set_time(param, absl::ToTimeT(now));
  proof.verified = X509_verify_cert(context.get()) == 1;
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (!proof.verified) {
    proof.flaw = FlawOf(error);
    proof.why = WhyText(error, policy);
  }
  return proof;
}

}  // namespace hikyaku::tls
