// What a worker knows of domains' MTA-STS, for a while: the least recently used goes first. The caller brings the time.
//
// Threading: not safe; the owner locks.
#ifndef HIKYAKU_LIB_MTA_STS_MEMORY_H_
#define HIKYAKU_LIB_MTA_STS_MEMORY_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/mta_sts/fetch.h"
#include "lib/mta_sts/policy.h"

namespace hikyaku::mta_sts {

// A policy that was fetched, and how long it holds.
struct KeptPolicy {
  Policy policy;
  std::string id;  // Of the record that it was fetched for.
  absl::Time fetched;
  absl::Time expires;
};

// The last fetch that failed: not repeated for the same id before `until`.
struct FailedFetch {
  std::string id;
  absl::Time until = absl::InfinitePast();
  FetchResult result = FetchResult::kOk;
  std::string why;
};

struct Known {
  std::shared_ptr<const KeptPolicy> policy;        // May have expired.
  absl::Time asked = absl::InfinitePast();         // When the shard was asked what it keeps.
  absl::Time record_rests = absl::InfinitePast();  // The record is not looked up before this: DNS was silent.
  FailedFetch failed;
};

class Memory {
 public:
  explicit Memory(std::size_t max_domains = 20'000, std::size_t max_bytes = 32 << 20)
      : max_domains_(max_domains), max_bytes_(max_bytes) {}

  // What is known of `domain`; nothing by default.
  Known Get(absl::string_view domain);

  // Replaces it; others may be forgotten for it.
  void Set(absl::string_view domain, Known known);

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string domain;
    Known known;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;

  void Erase(Entries::iterator entry);

  const std::size_t max_domains_;
  const std::size_t max_bytes_;
  Entries entries_;  // Most recently used first.
  absl::flat_hash_map<std::string, Entries::iterator> index_;
  std::size_t bytes_ = 0;
};

}  // namespace hikyaku::mta_sts

#endif  // HIKYAKU_LIB_MTA_STS_MEMORY_H_
