// Which shard owns a domain: rendezvous hashing, so that a new shard takes 1/n of the domains and moves no others.
//
// Source:    Thaler and Ravishankar, "Using name-based mappings to increase hit rates" (1998).
// Threading: immutable after construction.
#ifndef HIKYAKU_LIB_QUEUE_SHARD_MAP_H_
#define HIKYAKU_LIB_QUEUE_SHARD_MAP_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace hikyaku::queue {

// The weight of a shard for a key. It is a contract between processes and versions: never change it, or queued mail and
// new mail of a domain part ways. FNV-1a over `key`, NUL, `shard`, finished as in MurmurHash3's fmix64.
std::uint64_t RendezvousWeight(absl::string_view key, absl::string_view shard);

class ShardMap {
 public:
  // `names` is not empty and has no name twice.
  explicit ShardMap(std::vector<std::string> names);

  // Index into names() of the shard that owns `key`: a domain (A-label, lower case) or another name with a home.
  std::size_t Owner(absl::string_view key) const;

  // Every index, the owner first: the order in which to spill when shards are down.
  std::vector<std::size_t> Order(absl::string_view key) const;

  const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_SHARD_MAP_H_
