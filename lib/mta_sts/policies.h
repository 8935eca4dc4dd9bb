// Which MTA-STS policy holds for a domain now: from memory, from the shard that keeps it for all workers, or fetched.
//
// Source:     RFC 8461 §3.3 (fetching, caching), §5.1 (flow), §10.2 (what is known holds though DNS or the web say
//             nothing: who blocks them wins nothing).
// Non-goals:  what a policy means for a host (lib/delivery/host_tls.h).
// Threading:  safe from every thread; a caller goes on on its own executor.
//
//   record _mta-sts.DOMAIN    policy known and alive       what holds, and what is done
//   none                      no                           nothing
//   id                        no                           fetched, and waited for; where that fails: nothing
//   id, the same              yes                          it; past half its life it is fetched anew in the background
//   id, another               yes                          it; the new one is fetched in the background
//   none                      yes                          it
//   DNS fails or is silent    yes                          it; past half its life as above
//   DNS fails or is silent    no                           nothing
//
// A fetch that failed is not repeated for the same id for kRetryAfter; all who want one at a time share it.
#ifndef HIKYAKU_LIB_MTA_STS_POLICIES_H_
#define HIKYAKU_LIB_MTA_STS_POLICIES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/mta_sts/fetch.h"
#include "lib/mta_sts/memory.h"
#include "lib/net/asio.h"
#include "lib/net/resume.h"
#include "lib/net/task_group.h"
#include "lib/queue/shard.h"

namespace hikyaku::mta_sts {

struct Found {
  std::shared_ptr<const KeptPolicy> kept;  // Nothing: no policy holds.
  std::string from;                        // "memory", "the shard", "the policy host".
  // Why no policy could be had though the domain announces one; ok where that is not so. For reports.
  FetchResult trouble = FetchResult::kOk;
  std::string why;
};

class Policies {
 public:
  // How long a mail waits for the record, where DNS is silent; then the record rests, so that others do not wait.
  static constexpr absl::Duration kRecordLimit = absl::Seconds(4);
  static constexpr absl::Duration kRecordRest = absl::Minutes(1);
  // How long a mail waits for a fetch, which goes on without it; RFC 8461 §5.1 lets it go as if there were no policy.
  static constexpr absl::Duration kWaitLimit = absl::Seconds(30);
  static constexpr absl::Duration kRetryAfter = absl::Minutes(5);  // RFC 8461 §3.3.
  // A policy serves at least so long, whatever its max_age: else each mail would fetch it.
  static constexpr absl::Duration kShortestLife = absl::Minutes(1);
  // A shard that keeps nothing for a domain is asked again after this: another worker may have had more luck.
  static constexpr absl::Duration kAskAgain = absl::Minutes(30);

  // Fetches are tasks of `group`, which ends before this is destroyed. `clock` outlives it.
  Policies(Clock& clock, net::TaskGroup& group);

  Policies(const Policies&) = delete;
  Policies& operator=(const Policies&) = delete;

  // `domain`: an A-label, lower case. `shard`, which owns the domain and outlives `group`, keeps the policy; it may be
  // null. Takes kRecordLimit at most where nothing has to be fetched, else kWaitLimit more.
  // kCancelled: we are stopping.
  awaitable<absl::StatusOr<Found>> Find(Web web, std::string domain, queue::Shard* shard);

 private:
  using Waiter = net::Resume<absl::StatusOr<Found>>;

  // What DNS says of a domain's record.
  struct Record {
    bool known = true;  // False: DNS fails or is silent.
    std::string id;     // Empty: there is none.
  };

  awaitable<absl::StatusOr<Found>> FindUncounted(Web web, std::string domain, queue::Shard* shard);
  awaitable<absl::StatusOr<Record>> LookUpRecord(dns::Resolver& resolver, std::string domain);
  awaitable<absl::Status> AskShard(std::string domain, queue::Shard& shard);
  awaitable<absl::StatusOr<Found>> WaitForFetch(Web web, std::string domain, std::string id, queue::Shard* shard);

  // Begins a fetch, or joins the one that is under way; `waiter` may be null.
  void Begin(const Executor& executor, Web web, const std::string& domain, const std::string& id, queue::Shard* shard,
             const Waiter* waiter);
  awaitable<void> FetchAndKeep(Web web, std::string domain, std::string id, queue::Shard* shard);

  // Remembers what came of a fetch. Nothing: no policy.
  std::shared_ptr<const KeptPolicy> Note(const std::string& domain, const std::string& id, const Fetched& fetched);
  std::vector<Waiter> TakeWaiters(const std::string& domain);

  Known Get(const std::string& domain);
  template <typename Change>
  void Update(const std::string& domain, Change change);

  Clock& clock_;
  net::TaskGroup& group_;
  absl::Mutex mutex_;
  Memory memory_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, std::vector<Waiter>> fetching_ ABSL_GUARDED_BY(mutex_);  // By domain.
};

}  // namespace hikyaku::mta_sts

#endif  // HIKYAKU_LIB_MTA_STS_POLICIES_H_
