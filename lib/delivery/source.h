// What mail is sent from: local addresses with their EHLO names, in weighted pools, warmed up by the day.
//
// Source:     config.proto (SourcePool). RFC 5321 §4.1.1.1 (EHLO names).
// Threading:  Sources and its pools are constant values; the ledger is safe from every thread.
//
// Warm-up: on each day (UTC) of its plan a source takes at most so many messages (attempts that began a transaction)
// from this process, whatever connections and threads; the ledger lives as long as the process, so that a reload counts
// on. It bounds a worker, not the cluster: N workers send up to N times as much, and one that restarts begins at 0.
#ifndef HIKYAKU_LIB_DELIVERY_SOURCE_H_
#define HIKYAKU_LIB_DELIVERY_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"
#include "lib/net/dialer.h"

namespace hikyaku::delivery {

struct WarmUp {
  absl::Time start;                 // Midnight, UTC.
  std::vector<std::uint64_t> days;  // Messages on the first, second, … day; afterwards no limit.

  // At `now`: nothing when there is no limit (any more); 0 before the start.
  std::optional<std::uint64_t> LimitAt(absl::Time now) const;
};

// "2026-12-01". kInvalidArgument: no such day.
absl::StatusOr<absl::Time> ParseDay(absl::string_view text);

struct Source {
  std::string name;                           // "POOL/ADDRESS": for people, and the ledger's key.
  std::optional<address::IpAddress> address;  // Nothing: the kernel's choice.
  std::string helo;                           // Empty: delivery.helo.
  std::uint32_t weight = 1;
  std::optional<WarmUp> warm_up;
  std::shared_ptr<const net::Proxy> proxy;

  // Whether it can reach addresses of this family.
  bool Fits(bool v4) const { return !address || address->is_v4() == v4; }
};

// How many messages each source that is warmed up has taken today.
class WarmUpLedger {
 public:
  // One more, if the plan of `source` has room at `now`.
  bool Reserve(const Source& source, absl::Time now);

  // A reservation that was not used.
  void GiveBack(const Source& source, absl::Time now);

  // Taken on the day of `now`.
  std::uint64_t Taken(const Source& source, absl::Time now) const;

 private:
  struct Day {
    std::int64_t number = 0;
    std::uint64_t taken = 0;
  };

  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Day> days_ ABSL_GUARDED_BY(mutex_);
};

struct SourcePool {
  std::string name;
  std::vector<Source> sources;  // Never empty.
  // A family that no source has is sent from where the kernel likes; else it is not sent to.
  bool kernel_fills_in = false;
};

// All pools of a configuration. "default" is always there: without configuration it is the kernel's choice.
class Sources {
 public:
  Sources();
  // kInvalidArgument names the pool. `pools` may lack "default".
  static absl::StatusOr<Sources> Create(std::vector<SourcePool> pools);

  // Empty: "default". nullptr: there is none of this name.
  const SourcePool* Find(absl::string_view name) const;

 private:
  absl::flat_hash_map<std::string, SourcePool> pools_;
};

// The sources of one attempt: one for each family, the same for the whole of it, so that kept connections are found
// again.
class SourceChoice {
 public:
  // `pool` and `ledger` outlive it. `seed`: which of the pool's sources, by weight; the same seed and pool choose the
  // same.
  SourceChoice(const SourcePool& pool, WarmUpLedger& ledger, std::uint32_t seed)
      : pool_(pool), ledger_(ledger), seed_(seed) {}
  // Gives back what was not spent.
  ~SourceChoice();
  SourceChoice(const SourceChoice&) = delete;
  SourceChoice& operator=(const SourceChoice&) = delete;

  // For addresses of this family; reserves one message of its plan. nullptr: none, why() says the reason.
  const Source* For(bool v4, absl::Time now);

  // The message is begun from it: the reservation stays taken, however many transactions and connections it needs.
  void Spend(bool v4) { picks_[v4 ? 0 : 1].reserved = false; }

  // One line for verdicts: "no source of pool x for IPv6", "every source of pool x has sent its messages of the day".
  const std::string& why() const { return why_; }

 private:
  struct Pick {
    bool chosen = false;
    bool reserved = false;
    const Source* source = nullptr;
    absl::Time at;
  };

  const Source* Choose(bool v4, absl::Time now);

  const SourcePool& pool_;
  WarmUpLedger& ledger_;
  const std::uint32_t seed_;
  Pick picks_[2];
  std::string why_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_SOURCE_H_
