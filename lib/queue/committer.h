// Group commit: one thread gathers operations, writes them as one batch, syncs once, and tells each of them. While one
// sync runs, the next group gathers; a commit never waits for a timer.
//
// Every change of the store goes through here, one operation after the other, so that an operation sees all that came
// before it: in the store, or in the Group for what is in the same batch. An operation that must see the store alone
// (it scans) says so and gets a group of its own.
//
// After a failed write nobody knows what is on disk. The group stays in doubt, new operations fail, and the store is
// reopened; then the number of the last commit on disk says whether the group is there. Its operations are finished
// accordingly, and those that must happen are done again.
//
// Threading: Push from every thread. Apply and Finish run on the committer's thread.
#ifndef HIKYAKU_LIB_QUEUE_COMMITTER_H_
#define HIKYAKU_LIB_QUEUE_COMMITTER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/queue/gate.h"
#include "lib/queue/metrics.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

// What operations of one commit share.
struct Group {
  Store& store;
  Batch& batch;
  storage::v1::Counters& counters;
  // What this group wrote so far, where a later operation of the group must know.
  absl::flat_hash_map<std::string, storage::v1::IdempotencyRecord> idempotency;
  absl::flat_hash_set<std::string> ended;  // Delivery keys, of messages with several.
  std::size_t report_bytes = 0;            // Read and written for reports of mail that expired.
  absl::flat_hash_map<std::string, storage::v1::TlsReportRow> tls_rows;
  absl::flat_hash_map<std::string, int> new_tls_rows;  // Of them those that are not in the store, by domain.

  std::uint64_t NextSequence() {
    const std::uint64_t sequence = counters.next_sequence();
    counters.set_next_sequence(sequence + 1);
    return sequence;
  }
};

class Operation {
 public:
  virtual ~Operation() = default;

  // Wants a group of its own.
  virtual bool alone() const { return false; }
  // Is done again after a failed commit, and waits while the store is broken.
  virtual bool must_happen() const { return false; }
  // Rough size, for the bound of a group.
  virtual std::size_t bytes() const { return 512; }

  // Adds its writes. May be called again after a commit that failed.
  virtual void Apply(Group& group) = 0;

  // Ok: what Apply wrote is on disk. Otherwise it is not, and never will be.
  virtual void Finish(const absl::Status& status) = 0;

  // The commit failed and it is not known yet whether it is on disk: a caller who cannot wait may be told. Finish comes
  // later.
  virtual void Doubt(const absl::Status& status) {}
};

class Committer {
 public:
  // On the committer's thread: `before` runs when a group is settled and before its operations hear of it, with the
  // last event sequence that is on disk; `after` when they were all finished.
  Committer(Store& store, Gate& gate, Metrics& metrics, storage::v1::Counters counters,
            std::function<void(std::uint64_t)> before, std::function<void()> after, bool stepped = false);
  ~Committer();

  // Begins; `stepped` has no thread, and does its work in Step().
  void Start();

  // Takes no more, commits what is there, and ends the thread. What cannot be committed fails with kUnavailable.
  void Stop();

  void Push(std::unique_ptr<Operation> operation);

  // Looks after the store's health: called each second by the maintenance thread.
  void Check();

  // Of one that is stepped: whether it has something to do; and one turn, which is a commit, or one try to mend the
  // store, after which its caller decides when to try again.
  bool Waits() const;
  void Step();

  // Of the last commit on disk.
  storage::v1::Counters counters() const;

 private:
  using Operations = std::vector<std::unique_ptr<Operation>>;

  void Run();
  bool Turn();
  bool Gather(Operations& group);
  void Commit(Operations group);
  void Break(Operations group, const absl::Status& status);
  void Reopen();
  absl::Status ReadCounters(storage::v1::Counters& found);
  void Repair();
  void Settle(Operations group, bool on_disk);
  void FailWaiting();
  void Pause();

  Store& store_;
  Gate& gate_;
  Metrics& metrics_;
  const std::function<void(std::uint64_t)> before_;
  const std::function<void()> after_;
  const bool stepped_;
  std::thread thread_;

  mutable absl::Mutex mu_;
  std::deque<std::unique_ptr<Operation>> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool sick_ ABSL_GUARDED_BY(mu_) = false;  // Background work failed.
  storage::v1::Counters published_ ABSL_GUARDED_BY(mu_);

  // Of the committer's thread.
  storage::v1::Counters counters_;
  std::unique_ptr<Batch> batch_;
  Operations doubtful_;  // Their write failed, and the store does not say yet what became of it.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_COMMITTER_H_
