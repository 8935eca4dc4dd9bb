// A queue shard as the other roles see it: hand mail over, take leases, ask. The engine in this process (LocalShard)
// and the client of one elsewhere (RemoteShard in services/queue) are both one of these, so that a role does not know
// whether it runs alone.
//
// Threading: every method may be called from any thread and returns at once. A callback runs exactly once, on a thread
//            of the shard's own: it must be short and must not block. It may run before the method returns.
// Lifetimes: a callback may still run until the shard is destroyed, never after.
#ifndef HIKYAKU_LIB_QUEUE_SHARD_H_
#define HIKYAKU_LIB_QUEUE_SHARD_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/internal/v1/queue.pb.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/admin.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "hikyaku/v1/mail.pb.h"

namespace hikyaku::queue {

template <typename T>
using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;

// Work that a worker holds: no other worker has it until the lease ends.
struct Lease {
  std::uint64_t id = 0;  // Unique within its stream.
  storage::v1::Delivery delivery;
  std::shared_ptr<const std::string> body;  // The whole message, as accepted. Shared, never changed.
};

// What a worker hears. Calls come from the shard's threads, one at a time for one stream, and must be short.
class LeaseListener {
 public:
  virtual ~LeaseListener() = default;

  virtual void OnLease(Lease lease) = 0;

  // The verdict of this lease is on disk.
  virtual void OnRecorded(std::uint64_t lease) = 0;

  // The lease is lost (it ran out, or its message was cancelled): the final dot must not be sent any more.
  virtual void OnRevoked(std::uint64_t lease) = 0;

  // That was all for now: one who passes words on may gather them until here.
  virtual void OnPause() {}

  // The stream ended: every lease on it is lost. kCancelled: the worker closed it itself. kUnavailable: the shard is
  // stopping, or cannot be reached: open another stream after a pause. The last call.
  virtual void OnClosed(absl::Status why) = 0;
};

// A worker's side of the stream. Destroying it closes it, after which OnClosed comes at most once more, then nothing.
class LeaseStream {
 public:
  virtual ~LeaseStream() = default;

  // The worker can take `leases` more.
  virtual void Grant(std::uint32_t leases) = 0;

  // Ends a lease; OnRecorded follows. A lease that was lost meanwhile is ignored and counted.
  virtual void Report(internal::v1::Verdict verdict) = 0;

  // Report, then Grant: what most attempts end with.
  virtual void ReportAndGrant(internal::v1::Verdict verdict, std::uint32_t leases) {
    Report(std::move(verdict));
    Grant(leases);
  }

  // Gives a lease back as it was.
  virtual void GiveBack(std::uint64_t lease) = 0;

  // Call at least each third of the lease time while leases are held.
  virtual void Renew() = 0;

  // Of the shard: how long a silent stream keeps its leases. Zero until it is known.
  virtual absl::Duration lease_time() const = 0;

  // Ends the stream; returns after the last callback, so that the listener may be destroyed.
  virtual void Close() = 0;
};

// A live subscription to events; destroying it ends it, after the callback that may be running.
class EventSubscription {
 public:
  virtual ~EventSubscription() = default;
};

// One call an event, in order of sequence. False: the watcher's buffer is full; the shard offers the same event again
// after a pause of about 50 ms, so a slow watcher delays only itself.
using EventSink = absl::AnyInvocable<bool(const v1::Event&)>;

class Shard {
 public:
  virtual ~Shard() = default;

  // As in `queue.shards`.
  virtual absl::string_view name() const = 0;

  // Makes the message durable: `done` gets a value only after the sync.
  //
  // Errors, and what the caller does next:
  //   kResourceExhausted   Disk, inodes or memory short.        452 4.3.1, or RESOURCE_EXHAUSTED. Not another shard's
  //   fault. kUnavailable         Stopping, not reached, gate closed.   Nothing was written: try the next shard in
  //   order. kDeadlineExceeded    No answer in time.                    It may be written: only the same id again, at
  //   this shard. kAlreadyExists       Key used for another content.         Tell the client. kAborted             Key
  //   reserved by Claim, not finished.  Claim, then enqueue under the reserved id. kInvalidArgument     Our own
  //   front-end broke the format.   Report; do not repeat.
  virtual void Enqueue(internal::v1::EnqueueRequest request, Done<internal::v1::EnqueueResponse> done) = 0;

  // Reserves a message id under an idempotency key, durably. Errors as Enqueue's.
  virtual void Claim(internal::v1::ClaimRequest request, Done<internal::v1::ClaimResponse> done) = 0;

  // Opens a worker's stream. `listener` must outlive the stream's Close(). Never fails at once: a shard that cannot be
  // reached says so by OnClosed.
  virtual std::unique_ptr<LeaseStream> OpenLeases(std::string worker, LeaseListener* listener) = 0;

  // kNotFound: nothing is known of it here.
  virtual void GetMessage(v1::GetMessageRequest request, Done<v1::GetMessageResponse> done) = 0;

  virtual std::unique_ptr<EventSubscription> WatchEvents(internal::v1::WatchShardRequest request, EventSink sink,
                                                         absl::AnyInvocable<void(absl::Status)> closed) = 0;

  virtual void ListQueues(v1::ListQueuesRequest request, Done<v1::ListQueuesResponse> done) = 0;
  virtual void ListDeliveries(v1::ListDeliveriesRequest request, Done<v1::ListDeliveriesResponse> done) = 0;
  virtual void Flush(v1::FlushRequest request, Done<v1::FlushResponse> done) = 0;
  virtual void Suspend(v1::SuspendRequest request, Done<v1::SuspendResponse> done) = 0;
  virtual void Resume(v1::ResumeRequest request, Done<v1::ResumeResponse> done) = 0;
  virtual void Purge(v1::PurgeRequest request, Done<v1::PurgeResponse> done) = 0;
  virtual void CheckQueue(Done<v1::CheckQueueResponse> done) = 0;
  // kFailedPrecondition: no reports on TLS can be made. Other errors: some may have been sent; it may be repeated.
  virtual void SendTlsReports(v1::SendTlsReportsRequest request, Done<v1::SendTlsReportsResponse> done) = 0;

  // The MTA-STS policy that was put last for a domain of this shard, for the workers that come after (RFC 8461 §3.3).
  // kNotFound: none, or it has expired. Other errors: nobody knows; go on without.
  virtual void GetStsPolicy(internal::v1::GetStsPolicyRequest request, Done<storage::v1::StsPolicy> done) = 0;

  // Durable when `done` gets a value; replaces an older one. kInvalidArgument: not a record that a worker makes. Other
  // errors: it is not kept, and whoever needs it next fetches it.
  virtual void PutStsPolicy(storage::v1::StsPolicy policy, Done<internal::v1::PutStsPolicyResponse> done) = 0;

  // Empty: new mail is taken. Otherwise the reason for /readyz ("disk: 512MiB free, 1GiB wanted"). Costs nothing: no
  // I/O.
  virtual std::string NotReady() const = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_SHARD_H_
