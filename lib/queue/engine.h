// The parts of a shard and what joins them; inside of LocalShard.
//
// Who may change what:
//   the store            only operations, on the committer's thread, one after the other
//   schedule, leases,    under `mu`, from any thread; sections are short and hold no I/O and no callback
//   items, hot bytes
//   next_due             the committer's thread
// So an operation may look at the store and at the memory and knows that no other operation runs.
//
// Invariant of the due index: every entry of `due` before next_due belongs to an item in memory, or is the expiry of a
// delivery in `parked`. The poll starts there, and never walks over what was deleted before it.
#ifndef HIKYAKU_LIB_QUEUE_ENGINE_H_
#define HIKYAKU_LIB_QUEUE_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "lib/base/clock.h"
#include "lib/queue/committer.h"
#include "lib/queue/events.h"
#include "lib/queue/gate.h"
#include "lib/queue/item.h"
#include "lib/queue/leases.h"
#include "lib/queue/metrics.h"
#include "lib/queue/options.h"
#include "lib/queue/reports.h"
#include "lib/queue/schedule.h"
#include "lib/queue/store.h"
#include "lib/queue/work_pool.h"

namespace hikyaku::queue {

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// The body of a message, read for leases: those to several domains share one.
struct ReadBody {
  std::uint32_t leases = 0;
  std::uint64_t bytes = 0;
  std::uint64_t part = 0;
  std::weak_ptr<const std::string> body;
};

struct Engine {
  Engine(Options options, Clock& clock, std::unique_ptr<Store> store, storage::v1::Counters counters);

  std::int64_t NowMicros() const { return absl::ToUnixMicros(clock.Now()); }

  // Pairs ready deliveries with workers that have credit, and tells the workers all that they have to hear.
  void Dispatch() ABSL_LOCKS_EXCLUDED(mu);

  // Ends the lease of an item, of whatever kind: it belongs to no worker any more.
  void EndLease(Item& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Takes a leased item back into the schedule. `lost`: no word came of it. Dispatch afterwards.
  void TakeBack(const ItemPtr& item, bool lost) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // The worker closes its stream, or loses it.
  void CloseStream(Stream& stream, absl::Status why) ABSL_LOCKS_EXCLUDED(mu);

  // Puts a due delivery, whose store entries exist, into memory as ready. False: it is there already.
  bool Load(absl::string_view delivery_key, const storage::v1::DueEntry& entry, std::int64_t due, bool parked)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Puts an item among those in memory.
  void Insert(const ItemPtr& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Takes an item out of memory for good.
  void Erase(const ItemPtr& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // The clock of leases: it runs with the wall clock, but no jump of that, and no pause of this process, moves it far.
  absl::Duration LeaseClock() const { return absl::Microseconds(lease_micros.load()); }

  // A due entry was written that the poll must see.
  void LowerNextDue(std::int64_t micros);

  // The poll must come back to an entry of this time, which stays where it is: a little later, for what stopped it may
  // stop it again. On the committer's thread.
  void PollAgain(std::int64_t micros);
  // An entry of PollAgain has waited long enough.
  bool WantsPollAgain() const;

  // Now and then, by the maintenance thread.
  void Poll();

  ReportPolicy reports() const ABSL_LOCKS_EXCLUDED(reports_mu);
  void SetReports(ReportPolicy policy) ABSL_LOCKS_EXCLUDED(reports_mu);

  // The body of a delivery, as a worker has it, or read; null: there is none. May take long.
  absl::StatusOr<std::shared_ptr<const std::string>> BodyOf(const Item& item, std::uint64_t part)
      ABSL_LOCKS_EXCLUDED(mu);

  const Options options;
  Clock& clock;
  const std::unique_ptr<Store> store;
  Metrics metrics;
  Gate gate;
  std::atomic<std::int64_t> lifetime_micros;
  std::atomic<std::int64_t> lease_micros{0};
  std::atomic<std::uint64_t> pending_bytes{0};
  std::atomic<std::uint64_t> taken_bytes{0};  // Bodies handed in since the start.
  std::atomic<std::uint64_t> body_parts;
  std::atomic<std::int64_t> last_block_micros{0};
  std::atomic<std::int64_t> report_delay_micros{0};
  std::atomic<bool> stopping{false};  // What walks over the store is to end.

  mutable absl::Mutex reports_mu;
  ReportPolicy report_policy ABSL_GUARDED_BY(reports_mu);

  absl::Mutex mu;
  Schedule schedule ABSL_GUARDED_BY(mu);
  Leases leases ABSL_GUARDED_BY(mu);
  ItemSet items ABSL_GUARDED_BY(mu);             // All that are in memory, but for kCommitting.
  std::vector<Item*> round ABSL_GUARDED_BY(mu);  // The same, by their `slot`, to walk over a part of them at a time.
  std::uint64_t hot_bytes ABSL_GUARDED_BY(mu) = 0;
  std::uint64_t leased[kPriorityClasses] ABSL_GUARDED_BY(mu) = {};
  absl::flat_hash_map<std::string, ReadBody> read_bodies ABSL_GUARDED_BY(mu);  // By message id.
  std::uint64_t read_bytes ABSL_GUARDED_BY(mu) = 0;                            // Of all of them.
  std::uint64_t open ABSL_GUARDED_BY(mu) = 0;                                  // Deliveries on disk.
  bool refilling ABSL_GUARDED_BY(mu) = false;                                  // An operation is on its way.
  // Pushed by the next Dispatch, without the mutex: a committer that has stopped finishes an operation at once.
  std::vector<std::unique_ptr<Operation>> outbox ABSL_GUARDED_BY(mu);

  std::string next_due;                          // A key of `due`, or the front of one.
  std::atomic<std::int64_t> next_due_micros{0};  // Its time, for other threads.
  std::atomic<bool> polling{false};              // An operation is on its way.
  std::atomic<std::int64_t> again_from{kNever};  // Of PollAgain: the earliest.
  std::atomic<std::int64_t> again_at{0};         // By the clock of leases.

  EventFeed feed;
  WorkPool readers;       // For leases.
  WorkPool askers;        // For questions.
  WorkPool housekeepers;  // For what walks over the whole store.
  Committer committer;

 private:
  void ReadForLease(const ItemPtr& item, std::uint64_t lease) ABSL_LOCKS_EXCLUDED(mu);
  void Fill() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  bool HoldBody(Item& item) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
};

// ----- What operations write; on the committer's thread. -----

storage::v1::DueEntry EntryOf(const Item& item);

// Removes the entries of `due` and `parked` that the item stands under.
void DeleteEntries(Batch& batch, const Item& item);
// Writes the entries of a delivery that is due but has no room in memory.
void PutParked(Batch& batch, absl::string_view delivery_key, storage::v1::DueEntry entry, std::int64_t due);

// Removes the record of a delivery, and its body unless another delivery needs that. Where the others cannot be read now,
// the body is marked as left (keys::kLeftBody), and the Reclaimer looks again.
void EndRecord(Group& group, absl::string_view delivery_key, const storage::v1::Delivery& delivery);

// When a delivery that waits for a worker ends instead. One that nobody tried yet, for no fault of its own (the shard
// was down, the workers were), outlives its expiry by a day, so that a long outage does not bounce mail untried; unless
// the client asked for the end.
std::int64_t EndMicros(bool attempted, bool deliver_by, std::int64_t expire_micros);
inline std::int64_t EndMicros(const Item& item) { return EndMicros(item.attempted, item.deliver_by, item.expire); }
inline std::int64_t EndMicros(const storage::v1::DueEntry& entry) {
  return EndMicros(entry.attempted(), entry.deliver_by(), entry.expire_micros());
}

// The status of a recipient that expired, after its last outcome. "4.4.7, delivery time expired" (RFC 3463 §3.5); where our
// own rules of security stood in the way to the end, what of them: "5.7.4", since more time would not have helped.
std::string ExpiredCode(const v1::Outcome& last);

// Of an outcome's text, as much as goes into another: whole UTF-8 characters, for a string field with half of one
// cannot be read again.
absl::string_view CutText(absl::string_view text);

// ----- Ends outside of an attempt: expired or cancelled. -----

struct Ending {
  std::string delivery_key;
  storage::v1::DueEntry entry;
  std::int64_t due = 0;  // Of its `due` entry; for a parked one, of its `parked` entry.
  bool parked = false;
  ItemPtr item;        // In state kEnding; null: it was not in memory.
  bool leased = false;  // By a purge: a worker has it until the end is on disk.
  int recipients = 0;   // Set by EndDelivery.
  bool kept = false;    // By EndDelivery: its record cannot be read now, so nothing of it was changed.
  bool later = false;  // By EndDelivery: nothing was changed, for this commit holds enough reports to senders.
  std::unique_ptr<storage::v1::Envelope> envelope;  // By EndDelivery: what `report` refers to.
  std::unique_ptr<Reporter> report;                 // By EndDelivery, to the sender.
};
Ending EndingOf(ItemPtr item);
void EndDelivery(Engine& engine, Group& group, Ending& ending, v1::Event::Type type, std::int64_t now_micros);
// After the commit, or after its failure.
void FinishEndings(Engine& engine, std::vector<Ending>& endings, v1::Event::Type type, bool committed);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_ENGINE_H_
