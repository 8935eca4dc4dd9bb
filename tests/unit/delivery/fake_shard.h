// A shard that hands out what a test gives it, and notes what the worker says. Only leases and MTA-STS policies; the
// rest answers kUnimplemented.
//
// Threading: safe from every thread. The listener is called on the thread of the test or of the worker.
#ifndef HIKYAKU_TESTS_UNIT_DELIVERY_FAKE_SHARD_H_
#define HIKYAKU_TESTS_UNIT_DELIVERY_FAKE_SHARD_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

class FakeShard : public queue::Shard {
 public:
  // Before the worker starts.
  void SetLeaseTime(absl::Duration lease_time) { lease_time_ = lease_time; }

  // Hands it out as soon as there is a credit. Its id must be its own.
  void Offer(queue::Lease lease) {
    {
      absl::MutexLock lock(&mutex_);
      waiting_.push_back(std::move(lease));
    }
    HandOut();
  }

  void Revoke(std::uint64_t lease) { Listener()->OnRevoked(lease); }

  // Ends the stream, as a shard that stops; what waits is handed out on the next one.
  void Break() {
    queue::LeaseListener* const listener = Listener();
    {
      absl::MutexLock lock(&mutex_);
      listener_ = nullptr;
      credits_ = 0;
    }
    listener->OnClosed(absl::UnavailableError("stopping"));
  }

  // Until each holds, for at most 10 s.
  bool WaitForVerdicts(std::size_t count) {
    return Wait([&] { return verdicts_.size() >= count; });
  }
  bool WaitForRenewals(int count) {
    return Wait([&] { return renewals_ >= count; });
  }
  bool WaitForStreams(int count) {
    return Wait([&] { return streams_ >= count && credits_ > 0; });
  }

  std::vector<internal::v1::Verdict> verdicts() { return Locked(verdicts_); }
  std::vector<std::uint64_t> given_back() { return Locked(given_back_); }
  std::uint32_t credits() { return Locked(credits_); }
  std::size_t handed_out() { return Locked(handed_out_); }

  std::unique_ptr<queue::LeaseStream> OpenLeases(std::string worker, queue::LeaseListener* listener) override {
    absl::MutexLock lock(&mutex_);
    listener_ = listener;
    credits_ = 0;
    ++streams_;
    return std::make_unique<Stream>(this, listener);
  }

  absl::string_view name() const override { return "fake"; }
  void Enqueue(internal::v1::EnqueueRequest, queue::Done<internal::v1::EnqueueResponse> done) override { No(done); }
  void Claim(internal::v1::ClaimRequest, queue::Done<internal::v1::ClaimResponse> done) override { No(done); }
  void GetMessage(v1::GetMessageRequest, queue::Done<v1::GetMessageResponse> done) override { No(done); }
  std::unique_ptr<queue::EventSubscription> WatchEvents(internal::v1::WatchShardRequest, queue::EventSink,
                                                        absl::AnyInvocable<void(absl::Status)>) override {
    return nullptr;
  }
  void ListQueues(v1::ListQueuesRequest, queue::Done<v1::ListQueuesResponse> done) override { No(done); }
  void ListDeliveries(v1::ListDeliveriesRequest, queue::Done<v1::ListDeliveriesResponse> done) override { No(done); }
  void Flush(v1::FlushRequest, queue::Done<v1::FlushResponse> done) override { No(done); }
  void Suspend(v1::SuspendRequest, queue::Done<v1::SuspendResponse> done) override { No(done); }
  void Resume(v1::ResumeRequest, queue::Done<v1::ResumeResponse> done) override { No(done); }
  void Purge(v1::PurgeRequest, queue::Done<v1::PurgeResponse> done) override { No(done); }
  void CheckQueue(queue::Done<v1::CheckQueueResponse> done) override { No(done); }
  void SendTlsReports(v1::SendTlsReportsRequest, queue::Done<v1::SendTlsReportsResponse> done) override { No(done); }
  void GetStsPolicy(internal::v1::GetStsPolicyRequest request, queue::Done<storage::v1::StsPolicy> done) override {
    const auto policies = Locked(sts_);
    const auto found = policies.find(request.domain());
    if (found == policies.end()) return done(absl::NotFoundError("none"));
    done(found->second);
  }
  void PutStsPolicy(storage::v1::StsPolicy policy, queue::Done<internal::v1::PutStsPolicyResponse> done) override {
    {
      absl::MutexLock lock(&mutex_);
      sts_[policy.domain()] = policy;
    }
    done(internal::v1::PutStsPolicyResponse());
  }
  std::map<std::string, storage::v1::StsPolicy> sts() { return Locked(sts_); }
  std::string NotReady() const override { return ""; }

 private:
  class Stream : public queue::LeaseStream {
   public:
    Stream(FakeShard* shard, queue::LeaseListener* listener) : shard_(shard), listener_(listener) {}

    void Grant(std::uint32_t leases) override {
      {
        absl::MutexLock lock(&shard_->mutex_);
        if (shard_->listener_ != listener_) return;
        shard_->credits_ += leases;
      }
      shard_->HandOut();
    }

    void Report(internal::v1::Verdict verdict) override {
      const std::uint64_t lease = verdict.lease();
      {
        absl::MutexLock lock(&shard_->mutex_);
        if (shard_->listener_ != listener_) return;
        shard_->verdicts_.push_back(std::move(verdict));
      }
      listener_->OnRecorded(lease);
    }

    void GiveBack(std::uint64_t lease) override {
      absl::MutexLock lock(&shard_->mutex_);
      shard_->given_back_.push_back(lease);
    }

    void Renew() override {
      absl::MutexLock lock(&shard_->mutex_);
      ++shard_->renewals_;
    }

    absl::Duration lease_time() const override { return shard_->lease_time_; }

    void Close() override {
      absl::MutexLock lock(&shard_->mutex_);
      if (shard_->listener_ == listener_) shard_->listener_ = nullptr;
    }

   private:
    FakeShard* const shard_;
    queue::LeaseListener* const listener_;
  };

  template <typename Done>
  static void No(Done& done) {
    done(absl::UnimplementedError("fake"));
  }

  template <typename T>
  T Locked(const T& member) {
    absl::MutexLock lock(&mutex_);
    return member;
  }

  template <typename F>
  bool Wait(F condition) {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&condition), absl::Seconds(10));
  }

  queue::LeaseListener* Listener() { return Locked(listener_); }

  void HandOut() {
    for (;;) {
      queue::LeaseListener* listener;
      queue::Lease lease;
      {
        absl::MutexLock lock(&mutex_);
        if (listener_ == nullptr || credits_ == 0 || waiting_.empty()) return;
        listener = listener_;
        --credits_;
        ++handed_out_;
        lease = std::move(waiting_.front());
        waiting_.pop_front();
      }
      listener->OnLease(std::move(lease));
    }
  }

  absl::Duration lease_time_ = absl::Seconds(30);
  absl::Mutex mutex_;
  queue::LeaseListener* listener_ = nullptr;
  std::uint32_t credits_ = 0;
  int streams_ = 0;
  int renewals_ = 0;
  std::size_t handed_out_ = 0;
  std::deque<queue::Lease> waiting_;
  std::vector<internal::v1::Verdict> verdicts_;
  std::vector<std::uint64_t> given_back_;
  std::map<std::string, storage::v1::StsPolicy> sts_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_TESTS_UNIT_DELIVERY_FAKE_SHARD_H_
