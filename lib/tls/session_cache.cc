#include "lib/tls/session_cache.h"

#include <algorithm>

namespace hikyaku::tls {
namespace {

int SlotIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// 1: the session is ours now.
int OnSession(SSL* ssl, SSL_SESSION* session) {
  auto* const slot = static_cast<SessionSlot*>(SSL_get_ex_data(ssl, SlotIndex()));
  if (slot == nullptr) return 0;
  slot->cache.Keep(slot->key, bssl::UniquePtr<SSL_SESSION>(session));
  return 1;
}

}  // namespace

bssl::UniquePtr<SSL_SESSION> SessionCache::Take(absl::string_view key) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  const Entries::iterator newest = found->second.back();
  bssl::UniquePtr<SSL_SESSION> session = std::move(newest->session);
  Drop(newest);
  return session;
}

void SessionCache::Keep(const std::string& key, bssl::UniquePtr<SSL_SESSION> session) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end() && found->second.size() >= kMaxPerKey) Drop(found->second.front());
  if (entries_.size() >= kMaxSessions) Drop(entries_.begin());
  entries_.push_back({key, std::move(session)});
  by_key_[key].push_back(std::prev(entries_.end()));
}

void SessionCache::Drop(Entries::iterator entry) {
  const auto found = by_key_.find(entry->key);
  auto& of_key = found->second;
  of_key.erase(std::find(of_key.begin(), of_key.end(), entry));
  if (of_key.empty()) by_key_.erase(found);
  entries_.erase(entry);
}

void KeepSessions(SSL_CTX* context) { SSL_CTX_sess_set_new_cb(context, OnSession); }

void SetSessionSlot(SSL* ssl, SessionSlot* slot) { SSL_set_ex_data(ssl, SlotIndex(), slot); }

}  // namespace hikyaku::tls
