// The door to the disk: an ordered, durable map in families of keys. RocksStore is the real one; tests put their own
// here.
//
// Threading: safe from every thread; one writer at a time. A Batch or a Cursor belongs to one thread at a time.
// Lifetimes: a Cursor or a View holds the files open: close it before long waits, for Heal() waits for it. While Heal()
//            waits, cursors end with kAborted and views give kUnavailable, so that a long walk ends soon.
#ifndef HIKYAKU_LIB_QUEUE_STORE_H_
#define HIKYAKU_LIB_QUEUE_STORE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::queue {

// Column families; their names at rest are in rocks_store.cc and docs/formats.md.
enum class Family { kMeta, kBody, kDelivery, kDue, kParked, kIdempotency, kEvent, kTrace, kSuppression, kSite };
inline constexpr int kFamilies = 10;

// Changes that happen together or not at all. Later ones win over earlier ones.
class Batch {
 public:
  virtual ~Batch() = default;
  virtual void Put(Family family, absl::string_view key, absl::string_view value) = 0;
  virtual void Delete(Family family, absl::string_view key) = 0;
  // Every key from `from` up to but without `to`.
  virtual void DeleteRange(Family family, absl::string_view from, absl::string_view to) = 0;
  virtual void Clear() = 0;
  virtual bool empty() const = 0;
  virtual std::size_t bytes() const = 0;
};

// Walks a range of one family upwards. Views live until the next call.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void Seek(absl::string_view key) = 0;
  virtual void Next() = 0;
  virtual bool Valid() const = 0;  // False at the end and after an error.
  virtual absl::string_view key() const = 0;
  virtual absl::string_view value() const = 0;
  // kAborted: the store is being reopened; begin again later. kDataLoss, kUnavailable: as View::Get.
  virtual absl::Status status() const = 0;
};

// One moment of the store: every read sees the same commits.
class View {
 public:
  virtual ~View() = default;
  // Nothing: no such key. kDataLoss: damaged; kUnavailable: cannot be read now.
  virtual absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) = 0;
  // Stands at the first key from `from` on; ends before `to` (empty: at the end of the family).
  virtual std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) = 0;
};

struct StoreHealth {
  std::string error;     // Background work failed: nothing may be promised until Heal(). Empty: well.
  bool stopped = false;  // Writes wait for compaction.
};

class Store {
 public:
  virtual ~Store() = default;

  virtual std::unique_ptr<Batch> NewBatch() = 0;

  // Writes and syncs. An error means "not known": call Heal(true), then look whether the batch is there.
  virtual absl::Status Write(Batch& batch) = 0;

  virtual absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) = 0;

  // Reads the newest commits; null only while the store cannot be opened.
  virtual std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) = 0;
  virtual std::unique_ptr<View> Snapshot() = 0;

  // Frees the files that lie wholly in the range: cheap room after a DeleteRange.
  virtual void DropFiles(Family family, absl::string_view from, absl::string_view to) = 0;

  // Frees the room of bodies that were deleted; takes as long as it takes. Setting `cancel` ends it soon.
  virtual absl::Status Reclaim(std::atomic<bool>* cancel) = 0;

  virtual StoreHealth Health() const = 0;

  // Brings the store back after an error. `reopen`: closes and opens the files, so that what is read afterwards is on
  // disk for certain. kUnavailable: not yet; try again.
  virtual absl::Status Heal(bool reopen) = 0;

  // Writes memory out and closes. The store is of no use afterwards.
  virtual absl::Status Close() = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_STORE_H_
