#include "tests/sim/link.h"

#include <algorithm>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "tests/sim/wire.h"

namespace hikyaku::sim {
namespace {

// As in services/queue/remote_shard.h.
constexpr absl::Duration kWriteLimit = absl::Seconds(20);

absl::Status InDoubt() { return absl::DeadlineExceededError("the shard may or may not have it"); }
absl::Status NotReached() { return absl::UnavailableError("failed to connect"); }

class WorkerEnd : public queue::LeaseStream {
 public:
  explicit WorkerEnd(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}
  ~WorkerEnd() override { Close(); }

  void Grant(std::uint32_t leases) override {
    wire_->Say([leases](queue::LeaseStream& stream) { stream.Grant(leases); });
  }
  void Report(internal::v1::Verdict verdict) override {
    wire_->NoteVerdict(verdict);
    if (wire_->LosesVerdict()) return;
    if (wire_->CountsTwice()) verdict.mutable_tls_sessions()->MergeFrom(internal::v1::Verdict(verdict).tls_sessions());
    wire_->Say([verdict](queue::LeaseStream& stream) { stream.Report(verdict); });
  }
  void GiveBack(std::uint64_t lease) override {
    wire_->Say([lease](queue::LeaseStream& stream) { stream.GiveBack(lease); });
  }
  void Renew() override {
    wire_->Say([](queue::LeaseStream& stream) { stream.Renew(); });
  }
  absl::Duration lease_time() const override { return wire_->lease_time(); }
  void Close() override { wire_->CloseByWorker(); }

 private:
  const std::shared_ptr<Wire> wire_;
};

}  // namespace

Link::Link(World& world, Books& books, ShardNode& shard, int worker)
    : world_(world), books_(books), shard_(shard), worker_(worker), name_(absl::StrCat("q", shard.index())) {}

Link::~Link() { Die(); }

absl::Duration Link::Delay() {
  return slowness + world_.random.Between(absl::Microseconds(100), absl::Milliseconds(3));
}

void Link::Cut(absl::Duration time) {
  cut_until_ = std::max(cut_until_, world_.now() + time);
  if (worker_ >= 0) {
    // What the cut broke is known to all only some keepalives later.
    books_.NoteFault({Fault::kPartition, worker_, shard_.index(), world_.now(), cut_until_ + absl::Seconds(20)});
  }
  for (const auto& weak : wires_) {
    if (const auto wire = weak.lock()) wire->BreakByKeepalive();
  }
}

void Link::BreakStreams() {
  if (worker_ < 0) return;
  const absl::Duration worker_hears = world_.random.Between(absl::ZeroDuration(), absl::Milliseconds(500));
  const absl::Duration shard_hears = world_.random.Between(absl::ZeroDuration(), absl::Milliseconds(500));
  books_.NoteFault({Fault::kStreamBroken, worker_, shard_.index(), world_.now(),
                    world_.now() + std::max(worker_hears, shard_hears)});
  for (const auto& weak : wires_) {
    if (const auto wire = weak.lock()) wire->Break(worker_hears, shard_hears);
  }
}

void Link::Die() {
  dead_ = true;
  for (const auto& weak : wires_) {
    const auto wire = weak.lock();
    if (wire == nullptr) continue;
    wire->Break(absl::InfiniteDuration(), cut() ? absl::Seconds(20) : Delay());
    wire->DropWorker();
  }
  wires_.clear();
  // Whoever waits for an answer in the dead process must be freed: what he does then reaches nobody.
  while (!calls_.empty()) {
    const std::shared_ptr<Call> call = calls_.front();
    calls_.pop_front();
    if (call->fail) std::exchange(call->fail, nullptr)(InDoubt());
  }
}

void Link::FailAfter(absl::Duration delay, std::weak_ptr<Call> weak, absl::Status status) {
  world_.After(delay, [weak = std::move(weak), status = std::move(status)] {
    if (const auto call = weak.lock(); call != nullptr && call->fail) std::exchange(call->fail, nullptr)(status);
  });
}

template <typename Request, typename Response>
void Link::Forward(void (queue::Shard::*method)(Request, queue::Done<Response>), Request request,
                   queue::Done<Response> done) {
  if (dead_) return std::move(done)(InDoubt());
  const auto shared = std::make_shared<queue::Done<Response>>(std::move(done));
  const auto call = std::make_shared<Call>();
  call->fail = [shared](absl::Status status) { (*shared)(std::move(status)); };
  calls_.remove_if([](const auto& each) { return !each->fail; });
  calls_.push_back(call);
  if (cut() && world_.random.Chance(0.5)) return FailAfter(absl::Seconds(2), call, NotReached());
  const bool lost_on_the_way = cut();
  FailAfter(kWriteLimit, call, InDoubt());
  const std::weak_ptr<Call> weak = call;
  const absl::Duration delay = Delay();
  world_.After(delay, [this, weak, shared, method, lost_on_the_way, request = std::move(request)]() mutable {
    if (lost_on_the_way || cut()) return;
    const std::shared_ptr<ShardNode::Life> life = shard_.life();
    if (life == nullptr || !life->alive) return FailAfter(Delay(), weak, NotReached());
    const bool lose = world_.random.Chance(losing_answers);
    const bool misreport = mutant == Mutant::kMisreportWritten && lose;
    // The connection breaks with the process: the call is in doubt at once.
    life->at_end.push_back([this, weak] { FailAfter(Delay(), weak, InDoubt()); });
    auto answer = [this, weak, shared, life, lose, misreport](absl::StatusOr<Response> response) {
      if (!life->alive || weak.expired()) return;
      if (misreport) return FailAfter(Delay(), weak, NotReached());
      if (lose) return FailAfter(world_.random.Between(absl::Milliseconds(1), kWriteLimit), weak, InDoubt());
      world_.After(Delay(), [this, weak, shared, response = std::move(response)]() mutable {
        const auto call = weak.lock();
        if (call == nullptr || !call->fail || cut()) return;
        call->fail = nullptr;
        (*shared)(std::move(response));
      });
    };
    if constexpr (std::is_same_v<Request, internal::v1::EnqueueRequest>) {
      if (mutant == Mutant::kAckBeforeSync) {
        answer(Response());
        life->shard->Enqueue(std::move(request), [](absl::StatusOr<Response>) {});
        return;
      }
    }
    (static_cast<queue::Shard&>(*life->shard).*method)(std::move(request), std::move(answer));
  });
}

void Link::Enqueue(internal::v1::EnqueueRequest request, queue::Done<internal::v1::EnqueueResponse> done) {
  books_.NoteEnqueue(shard_.index(), request);
  world_.Trace("enqueue to ", name_, ": ", TokenOf(request.body()), ", ", request.destinations_size(), " domains");
  auto note = [this, request, done = std::move(done)](absl::StatusOr<internal::v1::EnqueueResponse> response) mutable {
    books_.NoteEnqueued(shard_.index(), request, response.status());
    world_.Trace(name_, " answers ", TokenOf(request.body()), ": ", absl::StatusCodeToString(response.status().code()));
    std::move(done)(std::move(response));
  };
  Forward<internal::v1::EnqueueRequest, internal::v1::EnqueueResponse>(&queue::Shard::Enqueue, std::move(request),
                                                                       std::move(note));
}

void Link::Claim(internal::v1::ClaimRequest request, queue::Done<internal::v1::ClaimResponse> done) {
  Forward<internal::v1::ClaimRequest, internal::v1::ClaimResponse>(&queue::Shard::Claim, std::move(request),
                                                                   std::move(done));
}

void Link::GetMessage(v1::GetMessageRequest request, queue::Done<v1::GetMessageResponse> done) {
  Forward<v1::GetMessageRequest, v1::GetMessageResponse>(&queue::Shard::GetMessage, std::move(request),
                                                         std::move(done));
}

void Link::ListQueues(v1::ListQueuesRequest request, queue::Done<v1::ListQueuesResponse> done) {
  Forward<v1::ListQueuesRequest, v1::ListQueuesResponse>(&queue::Shard::ListQueues, std::move(request),
                                                         std::move(done));
}

void Link::ListDeliveries(v1::ListDeliveriesRequest request, queue::Done<v1::ListDeliveriesResponse> done) {
  Forward<v1::ListDeliveriesRequest, v1::ListDeliveriesResponse>(&queue::Shard::ListDeliveries, std::move(request),
                                                                 std::move(done));
}

void Link::Flush(v1::FlushRequest request, queue::Done<v1::FlushResponse> done) {
  Forward<v1::FlushRequest, v1::FlushResponse>(&queue::Shard::Flush, std::move(request), std::move(done));
}

void Link::Suspend(v1::SuspendRequest request, queue::Done<v1::SuspendResponse> done) {
  Forward<v1::SuspendRequest, v1::SuspendResponse>(&queue::Shard::Suspend, std::move(request), std::move(done));
}

void Link::Resume(v1::ResumeRequest request, queue::Done<v1::ResumeResponse> done) {
  Forward<v1::ResumeRequest, v1::ResumeResponse>(&queue::Shard::Resume, std::move(request), std::move(done));
}

void Link::Purge(v1::PurgeRequest request, queue::Done<v1::PurgeResponse> done) {
  Forward<v1::PurgeRequest, v1::PurgeResponse>(&queue::Shard::Purge, std::move(request), std::move(done));
}

void Link::CheckQueue(queue::Done<v1::CheckQueueResponse> done) {
  std::move(done)(absl::UnimplementedError("the simulation asks the disk itself"));
}

void Link::SendTlsReports(v1::SendTlsReportsRequest request, queue::Done<v1::SendTlsReportsResponse> done) {
  Forward<v1::SendTlsReportsRequest, v1::SendTlsReportsResponse>(&queue::Shard::SendTlsReports, std::move(request),
                                                                 std::move(done));
}

void Link::GetStsPolicy(internal::v1::GetStsPolicyRequest request, queue::Done<storage::v1::StsPolicy> done) {
  Forward<internal::v1::GetStsPolicyRequest, storage::v1::StsPolicy>(&queue::Shard::GetStsPolicy, std::move(request),
                                                                     std::move(done));
}

void Link::PutStsPolicy(storage::v1::StsPolicy policy, queue::Done<internal::v1::PutStsPolicyResponse> done) {
  Forward<storage::v1::StsPolicy, internal::v1::PutStsPolicyResponse>(&queue::Shard::PutStsPolicy, std::move(policy),
                                                                      std::move(done));
}

std::unique_ptr<queue::EventSubscription> Link::WatchEvents(internal::v1::WatchShardRequest, queue::EventSink,
                                                            absl::AnyInvocable<void(absl::Status)> closed) {
  closed(absl::UnimplementedError("a stepped shard has no watchers"));
  return nullptr;
}

std::string Link::NotReady() const { return cut() || !shard_.up() ? "cannot be reached" : ""; }

std::unique_ptr<queue::LeaseStream> Link::OpenLeases(std::string worker, queue::LeaseListener* listener) {
  wires_.erase(std::remove_if(wires_.begin(), wires_.end(), [](const auto& wire) { return wire.expired(); }),
               wires_.end());
  auto wire = std::make_shared<Wire>(*this, listener);
  wires_.push_back(wire);
  wire->Open(std::move(worker));
  return std::make_unique<WorkerEnd>(std::move(wire));
}

}  // namespace hikyaku::sim
