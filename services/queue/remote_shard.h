// A shard in another process, over gRPC.
//
// A write whose connection breaks before the answer is in doubt. It is sent again, marked as a repeat, to the same
// shard, as soon as that is there again; only when that takes longer than `doubt_limit` is the caller told that nobody
// knows.
//
// Enqueues are gathered: while kCalls calls of them are under way, what comes waits, and goes together in the next one
// (`more` in queue.proto), as operations do for the next commit. Nobody waits behind a call that has to be repeated,
// nor long behind slow ones. A shard that does not know `more` gets each message in a call of its own.
//
// Threading: as Shard says; callbacks run on gRPC's threads.
// Lifetimes: the destructor waits for every call under way (each has a deadline).
#ifndef HIKYAKU_SERVICES_QUEUE_REMOTE_SHARD_H_
#define HIKYAKU_SERVICES_QUEUE_REMOTE_SHARD_H_

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"
#include "hikyaku/internal/v1/queue.grpc.pb.h"
#include "lib/queue/shard.h"
#include "services/common/gate.h"
#include "services/common/internal_tls.h"

namespace hikyaku::queue {

class RemoteShard final : public Shard {
 public:
  // How long an Enqueue may take: a few syncs of a very slow disk. Less than what clients wait for an answer.
  static constexpr absl::Duration kWriteLimit = absl::Seconds(20);
  static constexpr absl::Duration kReadLimit = absl::Seconds(10);
  // A restart of a shard, with time to spare, and less than SMTP clients and proxies wait.
  static constexpr absl::Duration kDoubtLimit = absl::Seconds(20);
  // Some whose commit is under way, and some that are there when the next begins. Fewer make larger calls, but at a
  // light load let messages wait that could be on their way.
  static constexpr int kCalls = 4;
  // When no call was begun for so long, those under way are slow, and another one is begun beside them.
  static constexpr absl::Duration kSlow = absl::Milliseconds(100);
  // Bounds of one call of several messages.
  static constexpr std::size_t kTogether = 64;
  static constexpr std::size_t kTogetherBytes = 256 << 10;

  // `address` as in queue.shards; `max_message` bytes bound what may be sent and received. `doubt_limit` and `slow`
  // differ from their constants in tests.
  RemoteShard(std::string name, const std::string& address, const InternalTls& tls, std::size_t max_message,
              absl::Duration doubt_limit = kDoubtLimit, absl::Duration slow = kSlow);
  ~RemoteShard() override;

  absl::string_view name() const override { return name_; }
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

  // The channel's last known state; a broken one is dialled again in the background.
  std::string NotReady() const override;

 private:
  using EnqueueDone = Done<internal::v1::EnqueueResponse>;

  struct Waiting {
    internal::v1::EnqueueRequest request;
    EnqueueDone done;
    std::chrono::steady_clock::time_point since;
  };

  // Sends what waits, or some of it, in one call, which does the same when it ends. Nothing waits: one call less.
  void SendWaiting();
  // Into `request`, which is empty, and its `more`. `limit`: what is left of the time of the first.
  std::vector<EnqueueDone> TakeWaiting(internal::v1::EnqueueRequest& request, absl::Duration& limit);
  // Gives each its part of the answer; the others of a `request` that was not understood are sent again. `repeated`: it
  // was sent more than once.
  void Answer(internal::v1::EnqueueRequest& request, std::vector<EnqueueDone> dones,
              absl::StatusOr<internal::v1::EnqueueResponse> answer, bool repeated);

  // Sends by `send`, again if need be, and ends the call.
  template <typename C, typename Send>
  void Write(C* call, Send send);

  const std::string name_;
  const absl::Duration doubt_limit_;
  const absl::Duration slow_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<internal::v1::QueueService::Stub> stub_;
  hikyaku::Gate calls_;

  absl::Mutex mutex_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  int sending_ ABSL_GUARDED_BY(mutex_) = 0;                              // Calls under way, but for repeated ones.
  std::chrono::steady_clock::time_point begun_ ABSL_GUARDED_BY(mutex_);  // The last of them.
  bool reads_more_ ABSL_GUARDED_BY(mutex_) = true;                       // As far as we know.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_REMOTE_SHARD_H_
