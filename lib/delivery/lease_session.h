// One open lease stream to one shard, and the leases that are held over it.
//
// A stream that ends takes its leases with it; the worker then opens a new session, so that a lease never outlives the
// stream that it came by, and numbers of different streams never meet.
//
// Threading: safe from every thread. The shard's calls come on its own threads and only note what they are told.
#ifndef HIKYAKU_LIB_DELIVERY_LEASE_SESSION_H_
#define HIKYAKU_LIB_DELIVERY_LEASE_SESSION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/delivery/connection.h"
#include "lib/net/asio.h"
#include "lib/net/resume.h"
#include "lib/net/timer.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

class LeaseSession;

// A lease and whether it is still ours.
class HeldLease : public LeaseGuard {
 public:
  HeldLease(queue::Lease lease, std::shared_ptr<LeaseSession> session)
      : lease_(std::move(lease)), session_(std::move(session)) {}

  bool Begin() override;
  // Also false when the lease has run out by our own clock: a process that was stopped for long has not read yet that
  // the shard has taken it back.
  bool alive() const override;

  // Takes the lease away from an attempt that has not begun a transaction. False: it has, or it is over already.
  bool Withdraw();

  // The attempt must not send the final dot any more. Of a lease that is over this changes nothing.
  void Lose() { state_.store(State::kOver); }

  const queue::Lease& lease() const { return lease_; }
  LeaseSession& session() const { return *session_; }

 private:
  enum class State { kHeld, kBegun, kOver };

  const queue::Lease lease_;
  const std::shared_ptr<LeaseSession> session_;
  std::atomic<State> state_{State::kHeld};
};

class LeaseSession : public queue::LeaseListener, public std::enable_shared_from_this<LeaseSession> {
 public:
  // Called for each lease on the shard's thread; starts its attempt elsewhere.
  using OnHeld = std::function<void(std::shared_ptr<HeldLease>)>;

  // Opens the stream; nothing comes before Grant.
  static std::shared_ptr<LeaseSession> Open(queue::Shard& shard, std::string worker, OnHeld on_held);

  ~LeaseSession() override;

  void Grant(std::uint32_t leases);

  // Returns when the stream has ended (ok), or the task is cancelled; renews the leases meanwhile. One caller.
  awaitable<absl::Status> WaitForEnd();

  // Ends the stream; returns after the shard's last call. What is held is lost. Idempotent.
  void Close();

  // The end of an attempt, each with a new credit unless the worker takes no more. What was lost is passed over.
  void Report(const HeldLease& held, internal::v1::Verdict verdict, bool more);
  void GiveBack(const HeldLease& held, bool more);
  void Forget(const HeldLease& held, bool more);  // It was lost, as far as we know.

  // Gives back all leases that have not begun.
  void GiveBackUnbegun();

  // Waits until no lease is held: every verdict is recorded, or the stream has ended. False after `limit`.
  bool WaitUntilEmpty(absl::Duration limit);

  queue::Shard& shard() const { return shard_; }

  // The shard has answered, and the stream has not ended.
  bool connected() const;

  // We have spoken within the lease time, so that the shard cannot have taken our leases back for silence.
  bool fresh() const;

  // Of queue::LeaseListener.
  void OnLease(queue::Lease lease) override;
  void OnRecorded(std::uint64_t lease) override;
  void OnRevoked(std::uint64_t lease) override;
  void OnClosed(absl::Status why) override;

 private:
  using Wake = net::Resume<absl::StatusOr<bool>>;

  LeaseSession(queue::Shard& shard, OnHeld on_held)
      : shard_(shard), on_held_(std::move(on_held)), spoke_(net::SteadyClock::now()) {}

  using Leases = absl::flat_hash_map<std::uint64_t, std::shared_ptr<HeldLease>>;

  void WakeBy(Wake wake);
  // Before each word to the shard. After too long a silence everything held is lost, whatever the shard thinks.
  void Speak();
  // Nothing when it was lost before.
  std::shared_ptr<HeldLease> Remove(std::uint64_t lease);
  bool HoldsAny() const;
  absl::Duration RenewEvery() const;

  queue::Shard& shard_;
  const OnHeld on_held_;
  std::unique_ptr<queue::LeaseStream> stream_;  // Set once, before the first grant.
  std::atomic<bool> ended_{false};

  mutable absl::Mutex mutex_;
  // Our last word, or the first lease after we had none; not by the wall clock, whose jumps would make a lease longer.
  net::TimePoint spoke_ ABSL_GUARDED_BY(mutex_);
  Leases held_ ABSL_GUARDED_BY(mutex_);             // Until their verdict is recorded.
  std::vector<Wake> wake_ ABSL_GUARDED_BY(mutex_);  // At most one.
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_LEASE_SESSION_H_
