// A shard on a real store in a temporary folder, a clock that stands still, and a worker that a test drives by hand.
#ifndef HIKYAKU_TESTS_UNIT_QUEUE_HARNESS_H_
#define HIKYAKU_TESTS_UNIT_QUEUE_HARNESS_H_

#include <atomic>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "lib/base/clock.h"
#include "lib/base/message_id.h"
#include "lib/queue/local_shard.h"

namespace hikyaku::queue {

using internal::v1::EnqueueRequest;
using internal::v1::EnqueueResponse;

// Waits, in real time, until `condition` holds; the shard's threads do the work.
inline bool Eventually(const std::function<bool()>& condition, absl::Duration limit = absl::Seconds(20)) {
  for (const absl::Time end = absl::Now() + limit; absl::Now() < end; absl::SleepFor(absl::Milliseconds(2))) {
    if (condition()) return true;
  }
  return condition();
}

template <typename T>
absl::StatusOr<T> Await(const std::function<void(Done<T>)>& call) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<T>>>();
  call([promise](absl::StatusOr<T> value) { promise->set_value(std::move(value)); });
  return promise->get_future().get();
}

inline v1::Outcome Delivered() {
  v1::Outcome outcome;
  outcome.set_kind(v1::Outcome::KIND_DELIVERED);
  outcome.set_scope(v1::Outcome::SCOPE_RECIPIENT);
  outcome.set_smtp_code(250);
  outcome.set_enhanced_code("2.0.0");
  outcome.set_text("250 2.0.0 taken");
  return outcome;
}
inline v1::Outcome Transient(const std::string& text = "450 4.2.0 busy") {
  v1::Outcome outcome = Delivered();
  outcome.set_kind(v1::Outcome::KIND_TRANSIENT);
  outcome.set_smtp_code(450);
  outcome.set_enhanced_code("4.2.0");
  outcome.set_text(text);
  return outcome;
}
inline v1::Outcome Permanent() {
  v1::Outcome outcome = Delivered();
  outcome.set_kind(v1::Outcome::KIND_PERMANENT);
  outcome.set_smtp_code(550);
  outcome.set_enhanced_code("5.1.1");
  outcome.set_text("550 5.1.1 unknown");
  return outcome;
}

class Worker : public LeaseListener {
 public:
  Worker(Shard& shard, std::uint32_t credit) { Open(shard, credit); }
  ~Worker() override { Close(); }

  void Open(Shard& shard, std::uint32_t credit) {
    stream_ = shard.OpenLeases("test", this);
    if (credit > 0) stream_->Grant(credit);
  }
  void Close() { stream_ = nullptr; }
  LeaseStream& stream() { return *stream_; }

  void OnLease(Lease lease) override {
    absl::MutexLock lock(&mu_);
    leases_.push_back(std::move(lease));
    ++seen_;
  }
  void OnRecorded(std::uint64_t) override { ++recorded_; }
  void OnRevoked(std::uint64_t) override { ++revoked_; }
  void OnClosed(absl::Status why) override {
    absl::MutexLock lock(&mu_);
    closed_ = std::move(why);
    ++closings_;
  }

  std::size_t waiting() const {
    absl::MutexLock lock(&mu_);
    return leases_.size();
  }
  int seen() const { return seen_; }
  int recorded() const { return recorded_; }
  int revoked() const { return revoked_; }
  int closings() const { return closings_; }
  absl::Status closed() const {
    absl::MutexLock lock(&mu_);
    return closed_;
  }

  // The next lease; fails the test and gives an empty one if none comes.
  Lease Next(absl::Duration limit = absl::Seconds(20)) {
    if (!Eventually([this] { return waiting() > 0; }, limit)) {
      ADD_FAILURE() << "no lease came";
      return {};
    }
    absl::MutexLock lock(&mu_);
    Lease lease = std::move(leases_.front());
    leases_.pop_front();
    return lease;
  }
  bool NoneComes(absl::Duration time = absl::Milliseconds(150)) {
    absl::SleepFor(time);
    return waiting() == 0;
  }

  // Reports, waits until that is on disk, and asks for one more.
  void Report(const Lease& lease, std::vector<v1::Outcome> outcomes, std::int64_t not_before = 0) {
    const int before = recorded_;
    internal::v1::Verdict verdict;
    verdict.set_lease(lease.id);
    verdict.set_not_before_micros(not_before);
    for (v1::Outcome& outcome : outcomes) *verdict.add_outcomes() = std::move(outcome);
    stream_->Report(std::move(verdict));
    EXPECT_TRUE(Eventually([&] { return recorded_ > before; }));
    stream_->Grant(1);
  }

 private:
  std::unique_ptr<LeaseStream> stream_;
  mutable absl::Mutex mu_;
  std::deque<Lease> leases_;
  std::atomic<int> seen_{0}, recorded_{0}, revoked_{0}, closings_{0};
  absl::Status closed_;
};

class ShardTest : public testing::Test {
 protected:
  ShardTest() {
    static std::atomic<int> number{0};
    const char* temporary = std::getenv("TEST_TMPDIR");
    options_.data_dir = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/shard", number++);
    std::filesystem::remove_all(options_.data_dir);
    options_.name = "q0";
    options_.min_free_disk = 0;
    options_.min_free_inodes = 0;
    options_.write_buffer = 1 << 20;
    options_.retry = {absl::Minutes(5), absl::Hours(4), 0.2};
    options_.pace = {.first = 1'000'000, .failures = 1'000'000};  // Out of the way; pace_test.cc is about it.
  }
  ~ShardTest() override {
    shard_ = nullptr;
    std::filesystem::remove_all(options_.data_dir);
  }

  void Open() {
    auto shard = LocalShard::Open(options_, clock_);
    ASSERT_TRUE(shard.ok()) << shard.status();
    shard_ = *std::move(shard);
  }
  void Reopen() {
    shard_ = nullptr;
    Open();
  }

  std::int64_t Now() const { return absl::ToUnixMicros(clock_.Now()); }

  // A message for `recipients` ("user@domain", of any number of domains).
  EnqueueRequest Mail(const std::vector<std::string>& recipients,
                      const std::string& body = "Subject: x\r\n\r\nhello\r\n") {
    EnqueueRequest request;
    storage::v1::Envelope& envelope = *request.mutable_envelope();
    envelope.set_message_id(std::string(MessageId::Generate(clock_.Now()).bytes()));
    envelope.set_tenant("default");
    envelope.set_sender("sender@example.org");
    envelope.set_message_id_header(absl::StrCat("m", count_++, "@example.org"));
    request.set_body(body);
    for (const std::string& recipient : recipients) {
      const std::string domain = recipient.substr(recipient.find('@') + 1);
      internal::v1::Destination* destination = nullptr;
      for (auto& each : *request.mutable_destinations()) {
        if (each.domain() == domain) destination = &each;
      }
      if (destination == nullptr) {
        destination = request.add_destinations();
        destination->set_domain(domain);
      }
      destination->add_recipients(recipient);
    }
    return request;
  }

  absl::StatusOr<EnqueueResponse> Enqueue(EnqueueRequest request) {
    return Await<EnqueueResponse>(
        [&](Done<EnqueueResponse> done) { shard_->Enqueue(std::move(request), std::move(done)); });
  }
  std::string Accept(EnqueueRequest request) {
    const std::string id = MessageId::FromBytes(request.envelope().message_id())->text();
    const auto answer = Enqueue(std::move(request));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return id;
  }

  void SuspendDomain(const std::string& domain) {
    v1::SuspendRequest request;
    request.set_domain(domain);
    ASSERT_TRUE(Await<v1::SuspendResponse>([&](Done<v1::SuspendResponse> done) {
                  shard_->Suspend(request, std::move(done));
                }).ok());
  }

  v1::ShardCheck Check() {
    const auto checked =
        Await<v1::CheckQueueResponse>([&](Done<v1::CheckQueueResponse> done) { shard_->CheckQueue(std::move(done)); });
    EXPECT_TRUE(checked.ok());
    return checked.ok() ? checked->shards(0) : v1::ShardCheck();
  }
  void ExpectSound() {
    const v1::ShardCheck check = Check();
    for (const std::string& problem : check.problems()) ADD_FAILURE() << problem;
  }

  absl::StatusOr<v1::GetMessageResponse> Message(const std::string& id) {
    v1::GetMessageRequest request;
    request.set_message_id(id);
    return Await<v1::GetMessageResponse>(
        [&](Done<v1::GetMessageResponse> done) { shard_->GetMessage(request, std::move(done)); });
  }
  // The types of the message's events, as letters: A(ccepted) D(elivered) d(eferred) B(ounced) E(xpired) C(ancelled).
  std::string Trace(const std::string& id) {
    const auto message = Message(id);
    std::string trace;
    if (!message.ok()) return "?";
    for (const v1::Event& event : message->events()) trace += " ADdBECS"[event.type()];
    return trace;
  }

  FakeClock clock_;
  Options options_;
  std::unique_ptr<LocalShard> shard_;
  int count_ = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_TESTS_UNIT_QUEUE_HARNESS_H_
