// The streams of the workers: credits, leases, and what each worker is to be told, in order, one call at a time.
//
// Threading: all but Drain and Wait is guarded by the engine's mutex, which the caller holds.
//            Listeners are called by Drain, without the mutex, by whichever thread comes first.
#ifndef HIKYAKU_LIB_QUEUE_LEASES_H_
#define HIKYAKU_LIB_QUEUE_LEASES_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/queue/item.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

// One call to a listener.
struct Notice {
  enum Kind { kLease, kRecorded, kRevoked, kClosed };
  Kind kind;
  std::uint64_t lease = 0;
  std::shared_ptr<const storage::v1::Delivery> delivery;  // kLease.
  std::shared_ptr<const std::string> body;                // kLease.
  absl::Status why;                                       // kClosed.
};

struct Stream {
  std::string worker;
  LeaseListener* listener = nullptr;
  std::uint32_t credits = 0;
  // Held by the worker, or reported and not yet recorded.
  absl::flat_hash_map<std::uint64_t, ItemPtr> leases;
  absl::Duration heard;  // Lease clock, at the last word of the worker.
  bool silent = false;   // Lost its leases by silence: gets no more until it speaks.
  bool closed = false;   // Takes no new notice.
  std::deque<Notice> notices;
  bool listed = false;    // Waits for a drain.
  bool draining = false;  // A thread is calling the listener.
  std::thread::id drainer;
};

class Leases {
 public:
  std::shared_ptr<Stream> Open(std::string worker, LeaseListener* listener, absl::Duration now);

  // A stream that can take one more, in turn; null: none.
  Stream* NextWithCredit();

  // The worker said something.
  static void Heard(Stream& stream, absl::Duration now) {
    stream.heard = now;
    stream.silent = false;
  }

  // Gives the item to the worker: its lease is counted. The notice comes apart, when the body is at hand. The time of a
  // stream without leases begins now: a worker has no reason to speak while it holds none.
  void Assign(Stream& stream, ItemPtr item, absl::Duration now);
  // The body is at hand: the worker hears of its lease.
  void Offer(Item& item, std::shared_ptr<const std::string> body);
  // Takes the lease from the worker, and tells it, if it ever heard of the lease.
  void Revoke(Item& item);
  // Ends the lease of the item, of whatever kind. The item's stream is null afterwards.
  void Unassign(Item& item);

  void Notify(Stream& stream, Notice notice);

  // Ends the stream; gives back what it held, but for what it had reported (that goes on without it).
  std::vector<ItemPtr> Close(Stream& stream, absl::Status why);

  // Streams that were silent since before `heard`, with leases in hand: takes the leases from them.
  std::vector<ItemPtr> TakeFromSilent(absl::Duration heard);

  std::vector<std::shared_ptr<Stream>> All() const { return streams_; }

  // Streams that have something to hear.
  std::vector<std::shared_ptr<Stream>> TakeListed();

  // `mu`: the engine's, which the caller does not hold.
  // Calls the listener until nothing is left to tell.
  static void Drain(absl::Mutex& mu, Stream& stream) ABSL_LOCKS_EXCLUDED(mu);
  // Waits until no call runs, unless the caller is in one.
  static void Wait(absl::Mutex& mu, Stream& stream) ABSL_LOCKS_EXCLUDED(mu);

 private:
  std::vector<std::shared_ptr<Stream>> streams_;
  std::vector<std::shared_ptr<Stream>> listed_;
  std::size_t turn_ = 0;
  std::uint64_t next_lease_ = 1;  // Unique over all streams: a late read cannot be taken for another stream's lease.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_LEASES_H_
