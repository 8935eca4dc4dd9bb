// What the engine keeps in memory of a delivery that is due: small, and only for a bounded number of them.
//
// Threading: guarded by the engine's mutex, but for what is fixed once the item is made.
#ifndef HIKYAKU_LIB_QUEUE_ITEM_H_
#define HIKYAKU_LIB_QUEUE_ITEM_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "hikyaku/storage/v1/records.pb.h"

namespace hikyaku::queue {

struct Domain;
struct Flow;
struct Lane;
struct Stream;

// From hikyaku.v1.Priority: 0 high, 1 normal, 2 bulk.
inline int PriorityClass(int priority) { return priority == 1 ? 0 : priority == 3 ? 2 : 1; }

// Legal moves:
//   kCommitting → kReady (committed)                                   or gone (the commit failed)
//   kReady      → kLeased (a worker) → kReady (given back, lost)       → kReporting (verdict) → gone
//   kReady, kLeased → kEnding (expiry, purge) → gone                   or as before (the commit failed)
//   kEnding (a purge, of one that a worker has) → kReporting (verdict) → gone, by whichever of the two is on disk first
// Gone: no longer among the engine's items; who still holds it, has nothing to do any more.
enum class ItemState : std::uint8_t { kCommitting, kReady, kLeased, kReporting, kEnding, kGone };

struct Item {
  // Fixed.
  std::string key;  // As in `delivery`.
  std::string tenant;
  int priority = 0;  // hikyaku.v1.Priority.
  int priority_class = 1;
  bool attempted = false;
  bool deliver_by = false;
  bool parked = false;        // Stands in `parked`, and in `due` under its expiry.
  std::int64_t due = 0;       // Micros: of its `due` key, or of its `parked` key.
  std::int64_t expire = 0;    // Micros.
  std::int64_t accepted = 0;  // Micros.
  std::uint64_t size = 0;
  Domain* domain = nullptr;  // Lives while an item points to it.
  Lane* lane = nullptr;      // Set while the schedule holds the item.

  // Moves.
  ItemState state = ItemState::kCommitting;
  int lost_leases = 0;  // In a row.
  // Kept from acceptance, or read for the lease; null: must be read.
  std::shared_ptr<const storage::v1::Delivery> delivery;
  std::shared_ptr<const std::string> body;
  std::uint64_t hot_bytes = 0;  // Of `body`, counted in the engine's budget.
  Stream* stream = nullptr;     // Set while leased or reporting; null if the stream is gone.
  std::uint64_t lease = 0;
  bool offered = false;    // The worker was told of the lease.
  bool read_body = false;  // Its lease is counted in the engine's read bodies.
  std::uint32_t slot = 0;  // Its place in the engine's round.

  // Of the schedule, while kReady.
  Flow* flow = nullptr;
  std::list<std::shared_ptr<Item>>::iterator place;
};

using ItemPtr = std::shared_ptr<Item>;

// Items by delivery key.
struct ItemHash {
  using is_transparent = void;
  std::size_t operator()(absl::string_view key) const { return absl::Hash<absl::string_view>()(key); }
  std::size_t operator()(const ItemPtr& item) const { return (*this)(absl::string_view(item->key)); }
};
struct ItemEqual {
  using is_transparent = void;
  static absl::string_view Key(absl::string_view key) { return key; }
  static absl::string_view Key(const ItemPtr& item) { return item->key; }
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const {
    return Key(a) == Key(b);
  }
};
using ItemSet = absl::flat_hash_set<ItemPtr, ItemHash, ItemEqual>;

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_ITEM_H_
