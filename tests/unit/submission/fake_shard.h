// A shard in memory with the contract of lib/queue/shard.h for what submission uses: enqueue with idempotency, claim,
// ask, watch. It can be told to fail.
#ifndef HIKYAKU_TESTS_UNIT_SUBMISSION_FAKE_SHARD_H_
#define HIKYAKU_TESTS_UNIT_SUBMISSION_FAKE_SHARD_H_

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lib/base/message_id.h"
#include "lib/queue/shard.h"

namespace hikyaku::submission {

class FakeShard : public queue::Shard {
 public:
  explicit FakeShard(std::string name) : name_(std::move(name)) {}

  // What every call gives from now on, as a shard that cannot be reached, or is full; ok heals it.
  void FailWith(absl::Status status) { down_ = std::move(status); }

  // The next answers to Enqueue are held back until Release; the commit happens at once.
  void Hold() { holding_ = true; }
  void Release() {
    std::vector<absl::AnyInvocable<void()>> held;
    {
      std::lock_guard lock(mutex_);
      holding_ = false;
      held.swap(held_);
    }
    for (auto& answer : held) answer();
  }
  bool holds_answers() { return held() > 0; }
  std::size_t held() {
    std::lock_guard lock(mutex_);
    return held_.size();
  }

  // One Enqueue of this message id fails.
  void Refuse(std::string message_id, absl::Status status) {
    std::lock_guard lock(mutex_);
    refused_[std::move(message_id)] = std::move(status);
  }

  // The next Enqueue is committed, and then fails with this: a lost reply.
  void LoseNextReply(absl::Status status) { lost_reply_ = std::move(status); }

  // domain → how many times its delivery was written under `message_id` (bytes).
  std::map<std::string, int> DeliveriesOf(const std::string& message_id) const {
    std::map<std::string, int> count;
    for (const auto& request : written) {
      if (request.envelope().message_id() != message_id) continue;
      for (const auto& destination : request.destinations()) ++count[destination.domain()];
    }
    return count;
  }

  std::vector<internal::v1::EnqueueRequest> written;
  int claims = 0;
  std::string not_ready;

  // ---- queue::Shard ----

  absl::string_view name() const override { return name_; }

  void Enqueue(internal::v1::EnqueueRequest request, queue::Done<internal::v1::EnqueueResponse> done) override {
    absl::StatusOr<internal::v1::EnqueueResponse> result = absl::UnknownError("");
    {
      std::lock_guard lock(mutex_);
      const auto refused = refused_.find(request.envelope().message_id());
      result = refused != refused_.end() ? refused->second : Commit(std::move(request));
      if (lost_reply_.has_value()) result = *std::exchange(lost_reply_, std::nullopt);
      if (holding_) {
        held_.push_back([done = std::move(done), result = std::move(result)]() mutable { done(std::move(result)); });
        return;
      }
    }
    done(std::move(result));
  }

  void Claim(internal::v1::ClaimRequest request, queue::Done<internal::v1::ClaimResponse> done) override {
    if (!down_.ok()) return done(down_);
    ++claims;
    const auto found = records_.find(request.key());
    const Record record =
        found != records_.end() ? found->second : Record{request.fingerprint(), request.message_id(), ""};
    if (found == records_.end() && request.expire_micros() > 0) records_[request.key()] = record;
    if (record.fingerprint != request.fingerprint()) return done(absl::AlreadyExistsError("key"));
    internal::v1::ClaimResponse response;
    response.set_message_id(record.message_id);
    response.set_replayed_response(record.response);
    done(response);
  }

  void GetMessage(v1::GetMessageRequest request, queue::Done<v1::GetMessageResponse> done) override {
    if (!down_.ok()) return done(down_);
    v1::GetMessageResponse response;
    for (const auto& enqueued : written) {
      const auto id = MessageId::FromBytes(enqueued.envelope().message_id());
      if (id->text() != request.message_id()) continue;
      response.set_message_id(id->text());
      for (const auto& destination : enqueued.destinations()) {
        v1::DeliveryStatus& delivery = *response.add_deliveries();
        delivery.set_domain(destination.domain());
        delivery.set_shard(name_);
      }
    }
    if (response.message_id().empty()) return done(absl::NotFoundError("unknown"));
    done(response);
  }

  class Subscription : public queue::EventSubscription {
   public:
    Subscription(FakeShard* shard) : shard_(shard) {}
    ~Subscription() override {
      ++shard_->ending_watches;
      while (shard_->hold_watches) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      std::lock_guard lock(shard_->watch_mutex_);
      shard_->sink_ = nullptr;
    }

   private:
    FakeShard* shard_;
  };

  std::unique_ptr<queue::EventSubscription> WatchEvents(internal::v1::WatchShardRequest request, queue::EventSink sink,
                                                        absl::AnyInvocable<void(absl::Status)>) override {
    std::lock_guard lock(watch_mutex_);
    if (request.from_now()) {
      v1::Event position;
      position.set_sequence(events.size());
      sink(position);
    } else {
      for (const v1::Event& event : events) {
        if (event.sequence() > request.after()) sink(event);
      }
    }
    sink_ = std::move(sink);
    watched = true;
    return std::make_unique<Subscription>(this);
  }

  // Something happened here.
  void Emit(v1::Event event) {
    std::lock_guard lock(watch_mutex_);
    event.set_sequence(events.size() + 1);
    event.set_shard(name_);
    events.push_back(event);
    if (sink_) sink_(event);
  }

  std::deque<v1::Event> events;
  std::atomic<bool> watched{false};
  std::atomic<bool> hold_watches{false};  // Their ends take until it is over.
  std::atomic<int> ending_watches{0};     // That began to end.

  std::unique_ptr<queue::LeaseStream> OpenLeases(std::string, queue::LeaseListener*) override { return nullptr; }
  void ListQueues(v1::ListQueuesRequest request, queue::Done<v1::ListQueuesResponse> done) override {
    if (!down_.ok()) return done(down_);
    v1::ListQueuesResponse response;
    for (const auto& enqueued : written) {
      v1::QueueSummary& queue = *response.add_queues();
      queue.set_domain(enqueued.destinations(0).domain());
      queue.set_shard(name_);
      queue.set_ready(enqueued.destinations_size());
    }
    done(response);
  }
  void ListDeliveries(v1::ListDeliveriesRequest, queue::Done<v1::ListDeliveriesResponse> done) override {
    done(v1::ListDeliveriesResponse());
  }
  void Flush(v1::FlushRequest, queue::Done<v1::FlushResponse> done) override {
    if (!down_.ok()) return done(down_);
    v1::FlushResponse response;
    response.set_flushed(written.size());
    done(response);
  }
  void Suspend(v1::SuspendRequest request, queue::Done<v1::SuspendResponse> done) override {
    suspended = request.domain();
    done(v1::SuspendResponse());
  }
  void Resume(v1::ResumeRequest, queue::Done<v1::ResumeResponse> done) override { done(v1::ResumeResponse()); }
  void Purge(v1::PurgeRequest, queue::Done<v1::PurgeResponse> done) override { done(v1::PurgeResponse()); }
  void CheckQueue(queue::Done<v1::CheckQueueResponse> done) override { done(v1::CheckQueueResponse()); }
  void SendTlsReports(v1::SendTlsReportsRequest, queue::Done<v1::SendTlsReportsResponse> done) override {
    done(v1::SendTlsReportsResponse());
  }
  void GetStsPolicy(internal::v1::GetStsPolicyRequest, queue::Done<storage::v1::StsPolicy> done) override {
    done(absl::UnimplementedError("fake"));
  }
  void PutStsPolicy(storage::v1::StsPolicy, queue::Done<internal::v1::PutStsPolicyResponse> done) override {
    done(absl::UnimplementedError("fake"));
  }
  std::string NotReady() const override { return not_ready; }

  std::string suspended;

 private:
  struct Record {
    std::string fingerprint;
    std::string message_id;
    std::string response;  // Empty: reserved.
  };

  absl::StatusOr<internal::v1::EnqueueResponse> Commit(internal::v1::EnqueueRequest request) {
    if (!down_.ok()) return down_;
    internal::v1::EnqueueResponse response;
    if (request.has_idempotency()) {
      const auto& commit = request.idempotency();
      const auto found = records_.find(commit.key());
      if (found != records_.end()) {
        Record& record = found->second;
        if (record.fingerprint != commit.fingerprint()) return absl::AlreadyExistsError("key");
        if (!record.response.empty()) {
          response.set_replayed_response(record.response);
          return response;
        }
        if (record.message_id != request.envelope().message_id()) return absl::AbortedError("reserved");
      }
      records_[commit.key()] = {commit.fingerprint(), request.envelope().message_id(), commit.response()};
    }
    if (request.destinations_size() > 0) written.push_back(std::move(request));
    return response;
  }

  const std::string name_;
  std::mutex mutex_;  // For tests with many threads: Enqueue and what holds it.
  absl::Status down_;
  bool holding_ = false;
  std::optional<absl::Status> lost_reply_;
  std::map<std::string, absl::Status> refused_;
  std::vector<absl::AnyInvocable<void()>> held_;
  std::map<std::string, Record> records_;
  std::mutex watch_mutex_;
  queue::EventSink sink_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_TESTS_UNIT_SUBMISSION_FAKE_SHARD_H_
