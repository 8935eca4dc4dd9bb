#include "lib/queue/shard_map.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "lib/base/check.h"

namespace hikyaku::queue {
namespace {

constexpr std::uint64_t kFnvOffset = 14695981039346656037ULL;
constexpr std::uint64_t kFnvPrime = 1099511628211ULL;

std::uint64_t Fnv1a(absl::string_view bytes, std::uint64_t hash) {
  for (char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return hash;
}

// Spreads the last bytes' influence over all bits: FNV alone leaves near names with near weights.
std::uint64_t Mix(std::uint64_t h) {
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  h ^= h >> 33;
  return h;
}

}  // namespace

std::uint64_t RendezvousWeight(absl::string_view key, absl::string_view shard) {
  return Mix(Fnv1a(shard, Fnv1a(absl::string_view("\0", 1), Fnv1a(key, kFnvOffset))));
}

ShardMap::ShardMap(std::vector<std::string> names) : names_(std::move(names)) { HIKYAKU_CHECK(!names_.empty()); }

std::size_t ShardMap::Owner(absl::string_view key) const {
  std::size_t best = 0;
  std::uint64_t best_weight = RendezvousWeight(key, names_[0]);
  for (std::size_t i = 1; i < names_.size(); ++i) {
    const std::uint64_t weight = RendezvousWeight(key, names_[i]);
    // The name breaks a tie, so that every process agrees whatever the order of its list.
    if (weight < best_weight || (weight == best_weight && names_[i] > names_[best])) continue;
    best = i;
    best_weight = weight;
  }
  return best;
}

std::vector<std::size_t> ShardMap::Order(absl::string_view key) const {
  std::vector<std::size_t> order(names_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const std::uint64_t wa = RendezvousWeight(key, names_[a]);
    const std::uint64_t wb = RendezvousWeight(key, names_[b]);
    return wa != wb ? wa > wb : names_[a] < names_[b];
  });
  return order;
}

}  // namespace hikyaku::queue
