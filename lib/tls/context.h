// What all the handshakes of one side have in common: versions, groups, roots, sessions to resume; for a server its
// certificate.
//
// Source:     RFC 8446, RFC 8996 (nothing below TLS 1.2), RFC 8314, RFC 7435 (any encryption is better than none: so
//             old ciphers of TLS 1.2 stay, the best first).
// Threading:  constant, but for the sessions; safe from every thread.
#ifndef HIKYAKU_LIB_TLS_CONTEXT_H_
#define HIKYAKU_LIB_TLS_CONTEXT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/clock.h"
#include "lib/tls/peer_policy.h"

struct ssl_ctx_st;

namespace hikyaku::tls {

class SessionCache;

enum class MinVersion { kTls12, kTls13 };

class ClientContext {
 public:
  // `clock` judges the dates of certificates, and outlives the context. `roots` may be null: nobody is believed.
  ClientContext(std::shared_ptr<const TrustRoots> roots, MinVersion min_version, const Clock& clock);
  ~ClientContext();

  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  const TrustRoots& roots() const { return *roots_; }
  const Clock& clock() const { return clock_; }
  ssl_ctx_st* raw() const { return context_; }
  SessionCache& sessions() const { return *sessions_; }

 private:
  const std::shared_ptr<const TrustRoots> roots_;
  const Clock& clock_;
  const std::unique_ptr<SessionCache> sessions_;
  ssl_ctx_st* const context_;
};

class ServerContext {
 public:
  // PEM texts: the server's certificate first, then what stands between it and its authority; its private key.
  // kInvalidArgument says what is wrong with them.
  static absl::StatusOr<std::shared_ptr<const ServerContext>> Create(absl::string_view certificates,
                                                                     absl::string_view key);
  ~ServerContext();

  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  ssl_ctx_st* raw() const { return context_; }

 private:
  explicit ServerContext(ssl_ctx_st* context) : context_(context) {}

  ssl_ctx_st* const context_;
};

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_CONTEXT_H_
