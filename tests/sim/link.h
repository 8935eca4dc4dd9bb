// The network between a front-end or a worker and one shard, as gRPC would carry it: delays, lost answers, partitions,
// broken streams. It keeps the contract of services/queue/remote_shard.h: "nothing was written" is said only where that
// is certain.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_LINK_H_
#define HIKYAKU_TESTS_SIM_LINK_H_

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/queue/shard.h"
#include "tests/sim/books.h"
#include "tests/sim/shard_node.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

class Wire;

class Link : public queue::Shard {
 public:
  // `worker`: the number of the worker that uses it; -1: a front-end does.
  Link(World& world, Books& books, ShardNode& shard, int worker);
  ~Link() override;

  // ---- Faults. ----
  // Nothing comes through for `time`, in either direction.
  void Cut(absl::Duration time);
  bool cut() const { return cut_until_ > world_.now(); }
  void BreakStreams();
  void Heal() {
    cut_until_ = world_.now();
    losing_answers = 0;
    slowness = absl::ZeroDuration();
  }
  double losing_answers = 0;  // Of all calls.
  absl::Duration slowness;    // Added to every message.
  Mutant::Kind mutant = Mutant::kNone;

  // The client's process is gone: nothing that comes is heard, nothing is sent any more.
  void Die();

  // ---- queue::Shard ----
  absl::string_view name() const override { return name_; }
  void Enqueue(internal::v1::EnqueueRequest request, queue::Done<internal::v1::EnqueueResponse> done) override;
  void Claim(internal::v1::ClaimRequest request, queue::Done<internal::v1::ClaimResponse> done) override;
  std::unique_ptr<queue::LeaseStream> OpenLeases(std::string worker, queue::LeaseListener* listener) override;
  void GetMessage(v1::GetMessageRequest request, queue::Done<v1::GetMessageResponse> done) override;
  std::unique_ptr<queue::EventSubscription> WatchEvents(internal::v1::WatchShardRequest, queue::EventSink,
                                                        absl::AnyInvocable<void(absl::Status)>) override;
  void ListQueues(v1::ListQueuesRequest request, queue::Done<v1::ListQueuesResponse> done) override;
  void ListDeliveries(v1::ListDeliveriesRequest request, queue::Done<v1::ListDeliveriesResponse> done) override;
  void Flush(v1::FlushRequest request, queue::Done<v1::FlushResponse> done) override;
  void Suspend(v1::SuspendRequest request, queue::Done<v1::SuspendResponse> done) override;
  void Resume(v1::ResumeRequest request, queue::Done<v1::ResumeResponse> done) override;
  void Purge(v1::PurgeRequest request, queue::Done<v1::PurgeResponse> done) override;
  void CheckQueue(queue::Done<v1::CheckQueueResponse> done) override;
  void SendTlsReports(v1::SendTlsReportsRequest request, queue::Done<v1::SendTlsReportsResponse> done) override;
  void GetStsPolicy(internal::v1::GetStsPolicyRequest request, queue::Done<storage::v1::StsPolicy> done) override;
  void PutStsPolicy(storage::v1::StsPolicy policy, queue::Done<internal::v1::PutStsPolicyResponse> done) override;
  std::string NotReady() const override;

 private:
  friend class Wire;

  // One call that has no answer yet.
  struct Call {
    std::function<void(absl::Status)> fail;  // Empty: answered.
  };
  template <typename Request, typename Response>
  void Forward(void (queue::Shard::*method)(Request, queue::Done<Response>), Request request,
               queue::Done<Response> done);
  absl::Duration Delay();
  void FailAfter(absl::Duration delay, std::weak_ptr<Call> call, absl::Status status);

  World& world_;
  Books& books_;
  ShardNode& shard_;
  const int worker_;
  const std::string name_;
  bool dead_ = false;
  absl::Duration cut_until_;
  std::list<std::shared_ptr<Call>> calls_;
  std::vector<std::weak_ptr<Wire>> wires_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_LINK_H_
