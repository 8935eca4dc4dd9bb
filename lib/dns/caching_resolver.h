// The Resolver of the running service: a cache over a QueryEngine, and one query on the wire for all who ask the same
// at the same time.
//
// Threading: safe from every thread. Destroyed before the IoPool whose coroutines ask it, and after they ended.
#ifndef HIKYAKU_LIB_DNS_CACHING_RESOLVER_H_
#define HIKYAKU_LIB_DNS_CACHING_RESOLVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/clock.h"
#include "lib/dns/cache.h"
#include "lib/dns/query_engine.h"
#include "lib/dns/resolver.h"

namespace hikyaku::dns {

class CachingResolver : public Resolver {
 public:
  // `clock` must outlive this.
  CachingResolver(std::unique_ptr<QueryEngine> engine, CacheOptions options, const Clock& clock = Clock::System());

  awaitable<absl::StatusOr<MxAnswers>> ResolveMx(std::string domain, absl::Duration limit) override;
  awaitable<absl::StatusOr<AddressAnswers>> ResolveAddresses(std::string host, absl::Duration limit) override;
  awaitable<absl::StatusOr<TextAnswers>> ResolveTxt(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<TlsaAnswers>> ResolveTlsa(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<TextAnswers>> ResolveAlias(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<TextAnswers>> ResolvePtr(address::IpAddress address, absl::Duration limit) override;

 private:
  using ResultPtr = std::shared_ptr<const Result>;
  using Waiter = std::function<void(ResultPtr)>;

  // From the cache, or from the engine within `limit`. Never null when ok; the result itself may say an error.
  awaitable<absl::StatusOr<ResultPtr>> LookUp(Question question, absl::Duration limit);

  // The texts of what LookUp gives.
  awaitable<absl::StatusOr<TextAnswers>> Texts(absl::StatusOr<std::string> name, RecordType type, absl::Duration limit);

  // From the cache only; null if it is not there.
  ResultPtr Peek(const Question& question);

  // Calls `waiter` once: at once from the cache, or when the one query that all wait for is answered.
  void Ask(const Question& question, Waiter waiter);
  void OnAnswer(const Question& question, const absl::StatusOr<std::string>& message);

  const CacheOptions options_;
  const Clock& clock_;
  absl::Mutex mutex_;
  Cache cache_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<Question, std::vector<Waiter>> open_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<QueryEngine> engine_;  // Last: it ends first, and answers what is open.
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_CACHING_RESOLVER_H_
