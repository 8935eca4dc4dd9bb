// TLS sessions to resume: a resumed handshake costs neither certificates nor a signature.
//
// Each is used once (RFC 8446 §C.4: a reused ticket lets who listens link the connections). Bounded: past kMaxSessions
// the oldest goes.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_TLS_SESSION_CACHE_H_
#define HIKYAKU_LIB_TLS_SESSION_CACHE_H_

#include <cstddef>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "openssl/ssl.h"

namespace hikyaku::tls {

class SessionCache {
 public:
  static constexpr std::size_t kMaxSessions = 2000;
  static constexpr std::size_t kMaxPerKey = 4;

  // The newest session kept for `key`, or null.
  bssl::UniquePtr<SSL_SESSION> Take(absl::string_view key);

  void Keep(const std::string& key, bssl::UniquePtr<SSL_SESSION> session);

 private:
  struct Entry {
    std::string key;
    bssl::UniquePtr<SSL_SESSION> session;
  };
  using Entries = std::list<Entry>;

  void Drop(Entries::iterator entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);  // The oldest first.
  absl::flat_hash_map<std::string, std::vector<Entries::iterator>> by_key_ ABSL_GUARDED_BY(mutex_);  // The same.
};

// Where the sessions of one connection are kept.
struct SessionSlot {
  SessionCache& cache;
  std::string key;
};

// Connections of `context` keep their sessions in the slot that SetSessionSlot names, which outlives the connection.
void KeepSessions(SSL_CTX* context);
void SetSessionSlot(SSL* ssl, SessionSlot* slot);

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_SESSION_CACHE_H_
