// Remembers answers for a while: least recently used goes first. Pure; the caller brings the time.
//
// How long, by kind (CacheOptions):
//   records             their TTL, within [min_ttl, max_ttl]
//   NXDOMAIN, no data   the SOA's negative TTL (RFC 2308 §5), within [min_ttl, max_negative_ttl]; without: min_ttl
//   failures            failure_ttl, one second: long enough to spare a server that is down, short enough that mail
//                       goes on as soon as it is back
//
// Threading: not safe; the owner locks.
#ifndef HIKYAKU_LIB_DNS_CACHE_H_
#define HIKYAKU_LIB_DNS_CACHE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/dns/dns_message.h"

namespace hikyaku::dns {

struct CacheOptions {
  std::size_t max_entries = 50'000;
  std::size_t max_bytes = 64 << 20;
  absl::Duration min_ttl = absl::Seconds(1);
  absl::Duration max_ttl = absl::Hours(1);
  absl::Duration max_negative_ttl = absl::Seconds(30);
  absl::Duration failure_ttl = absl::Seconds(1);
  bool believe_ad = false;  // What the servers call authenticated is.
};

struct Question {
  std::string name;  // In the form of NormaliseName.
  RecordType type;

  bool operator==(const Question&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const Question& question) {
    return H::combine(std::move(h), question.name, question.type);
  }
};

// What a look-up gave: records (none is an answer too), or the error of the Resolver contract.
struct Result {
  absl::Status status;
  std::vector<RecordData> records;
  bool authenticated = false;
  absl::Time expires;
  std::string alias_of;  // The name at the end of the aliases; empty: there are none.
};

// Judges the engine's answer and says how long it is good for.
Result MakeResult(const Question& question, const absl::StatusOr<std::string>& message, absl::Time now,
                  const CacheOptions& options);

class Cache {
 public:
  explicit Cache(CacheOptions options) : options_(options) {}

  // Null if unknown or expired.
  std::shared_ptr<const Result> Find(const Question& question, absl::Time now);

  void Insert(const Question& question, std::shared_ptr<const Result> result);

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Question question;
    std::shared_ptr<const Result> result;
    std::size_t bytes;
  };
  using Entries = std::list<Entry>;

  void Erase(Entries::iterator entry);

  const CacheOptions options_;
  Entries entries_;  // Most recently used first.
  absl::flat_hash_map<Question, Entries::iterator> index_;
  std::size_t bytes_ = 0;
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_CACHE_H_
