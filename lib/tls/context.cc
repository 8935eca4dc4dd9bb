#include "lib/tls/context.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/tls/pem.h"
#include "lib/tls/session_cache.h"
#include "openssl/ssl.h"
#include "openssl/x509.h"

namespace hikyaku::tls {
namespace {

constexpr std::size_t kMaxOwnChain = 10;

constexpr char kGroups[] = "X25519:P-256:P-384";

// BoringSSL has no RC4, export or anonymous ciphers; 3DES is its one weak block cipher.
constexpr char kCiphers12[] = "ALL:!PSK:!3DES";

void SetCommon(SSL_CTX* context, std::uint16_t min_version) {
  SSL_CTX_set_min_proto_version(context, min_version);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set1_curves_list(context, kGroups);
  SSL_CTX_set_strict_cipher_list(context, kCiphers12);
}

}  // namespace

// With buffers: whether a certificate can be read is for JudgePeer to say, not a reason to send mail in the clear.
ClientContext::ClientContext(std::shared_ptr<const TrustRoots> roots, MinVersion min_version, const Clock& clock)
    : roots_(roots != nullptr ? std::move(roots) : std::make_shared<const TrustRoots>()),
      clock_(clock),
      sessions_(std::make_unique<SessionCache>()),
      context_(SSL_CTX_new(TLS_with_buffers_method())) {
  SetCommon(context_, min_version == MinVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  KeepSessions(context_);
  // A resumed session is judged by the policy and the date of its own handshake, as a full one is.
  SSL_CTX_set_reverify_on_resume(context_, 1);
}

ClientContext::~ClientContext() { SSL_CTX_free(context_); }

absl::StatusOr<std::shared_ptr<const ServerContext>> ServerContext::Create(absl::string_view certificates,
                                                                           absl::string_view key) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificates(certificates, kMaxOwnChain));
  ASSIGN_OR_RETURN(const auto private_key, ReadKey(key));
  std::shared_ptr<ServerContext> made(new ServerContext(SSL_CTX_new(TLS_method())));
  SSL_CTX* const context = made->context_;
  SetCommon(context, TLS1_2_VERSION);
  bool fits = SSL_CTX_use_certificate(context, chain[0].get()) == 1;
  for (std::size_t i = 1; fits && i < chain.size(); ++i) {
    fits = SSL_CTX_add1_chain_cert(context, chain[i].get()) == 1;
  }
  fits = fits && SSL_CTX_use_PrivateKey(context, private_key.get()) == 1;
  const std::string why = TakeError();
  if (!fits) return absl::InvalidArgumentError(absl::StrCat("certificate and key do not fit: ", why));
  return std::shared_ptr<const ServerContext>(std::move(made));
}

ServerContext::~ServerContext() { SSL_CTX_free(context_); }

}  // namespace hikyaku::tls
