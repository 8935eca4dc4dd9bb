// The shard that lives in this process, on its own folder.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<LocalShard> shard, LocalShard::Open(options, Clock::System()));
//   …
//   shard->Stop();
//
// Promise: Enqueue answers OK only after the message is synced to disk; there is no switch for that.
// Threading: as Shard.
// Lifetimes: streams and subscriptions may outlive the shard; they are dead then.
#ifndef HIKYAKU_LIB_QUEUE_LOCAL_SHARD_H_
#define HIKYAKU_LIB_QUEUE_LOCAL_SHARD_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"
#include "lib/queue/metrics.h"
#include "lib/queue/options.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

struct Engine;
class Reclaimer;
class Retention;
class TlsReporter;

class LocalShard : public Shard {
 public:
  // Opens the folder, or makes it, and begins to work. `clock` must outlive the shard.
  //
  // Errors, and what the caller does next (each is one clear line for a person):
  //   kFailedPrecondition  Another process has the folder open, or it belongs to a shard of another name, or to a newer
  //                        version of the format.
  //   kPermissionDenied    The folder cannot be written.
  //   kDataLoss            Damaged: starting would lose accepted mail. Nothing was changed.
  //   kUnavailable         Other I/O errors.
  static absl::StatusOr<std::unique_ptr<LocalShard>> Open(Options options, Clock& clock);

  ~LocalShard() override;

  // Ends: takes no new mail and gives no new leases, waits up to `patience` for the verdicts of those that are out,
  // finishes what is on its way to disk, closes streams and watches with kUnavailable, and closes the folder. Leases
  // that are still out then are delivered again after the next start. Once is enough; the destructor calls it.
  void Stop(absl::Duration patience = absl::ZeroDuration());

  // What may change while it runs. The lifetime holds for mail that comes from now on.
  void Reconfigure(std::optional<absl::Duration> lifetime, std::optional<std::uint32_t> domain_concurrency,
                   std::optional<ReportPolicy> reports = std::nullopt);

  absl::string_view name() const override;
  void Enqueue(internal::v1::EnqueueRequest request, Done<internal::v1::EnqueueResponse> done) override;
  void Claim(internal::v1::ClaimRequest request, Done<internal::v1::ClaimResponse> done) override;
  std::unique_ptr<LeaseStream> OpenLeases(std::string worker, LeaseListener* listener) override;
  void GetMessage(v1::GetMessageRequest request, Done<v1::GetMessageResponse> done) override;
  std::unique_ptr<EventSubscription> WatchEvents(internal::v1::WatchShardRequest request, EventSink sink,
                                                 absl::AnyInvocable<void(absl::Status)> closed) override;
  void ListQueues(v1::ListQueuesRequest request, Done<v1::ListQueuesResponse> done) override;
  void ListDeliveries(v1::ListDeliveriesRequest request, Done<v1::ListDeliveriesResponse> done) override;
  void Flush(v1::FlushRequest request, Done<v1::FlushResponse> done) override;
  void Suspend(v1::SuspendRequest request, Done<v1::SuspendResponse> done) override;
  void Resume(v1::ResumeRequest request, Done<v1::ResumeResponse> done) override;
  void Purge(v1::PurgeRequest request, Done<v1::PurgeResponse> done) override;
  void CheckQueue(Done<v1::CheckQueueResponse> done) override;
  void SendTlsReports(v1::SendTlsReportsRequest request, Done<v1::SendTlsReportsResponse> done) override;
  void GetStsPolicy(internal::v1::GetStsPolicyRequest request, Done<storage::v1::StsPolicy> done) override;
  void PutStsPolicy(storage::v1::StsPolicy policy, Done<internal::v1::PutStsPolicyResponse> done) override;
  std::string NotReady() const override;

  // False while the store is broken: a verdict that is given now may not be on disk before the process ends.
  bool CanRecord() const;

  // How long a stop waits for a broken store to come back: longer would not help, and its work is done again anyway.
  static constexpr absl::Duration kBrokenPatience = absl::Seconds(3);

  // For the simulation (Options::stepped): what a shard's threads do. Each Step is one turn of one of them, in the
  // caller's thread: a group commit or a try to mend the store; a read for a lease; a question; retention and the like;
  // a round of maintenance, which takes place every 25 ms otherwise, and always has something to do.
  enum class Part { kCommit, kRead, kAsk, kKeepHouse, kMaintain };
  bool Waits(Part part) const;
  void Step(Part part);

 private:
  explicit LocalShard(std::shared_ptr<Engine> engine);

  absl::Status Recover();
  void Maintain();
  void MaintainOnce();
  void WaitForLeases(absl::Duration patience);
  void Sample();
  bool DiskFillsFast() const;
  void Sweep();
  void ExpireSilentStreams();
  void Expose();

  const std::shared_ptr<Engine> engine_;
  const std::unique_ptr<Retention> retention_;
  const std::unique_ptr<Reclaimer> reclaimer_;
  const std::unique_ptr<TlsReporter> tls_reporter_;
  std::thread maintenance_;
  // Of the maintenance thread.
  std::uint32_t tick_ = 0;
  std::int64_t ticked_micros_ = 0;  // Wall clock, at the last tick.
  // At the last sample.
  std::uint64_t sampled_taken_ = 0;
  std::uint64_t spare_disk_ = 0;  // Free, beyond the least that must be.
  // Of the maintenance thread: its round over what is in memory.
  std::size_t swept_ = 0;
  std::array<std::int64_t, kPriorityClasses> oldest_;  // Acceptance, so far in this round.
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;  // Stop has begun.
  bool closing_ ABSL_GUARDED_BY(mu_) = false;   // No lease is waited for any more.
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::unique_ptr<metrics::ScrapeHook> scrape_;
};

// `hikyaku queue check` without a server: reads the folder `data_dir` and checks every invariant. Changes nothing.
absl::StatusOr<v1::ShardCheck> CheckStore(const std::string& data_dir);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_LOCAL_SHARD_H_
