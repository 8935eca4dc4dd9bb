// Fairness, limits, the window and what an operator can do, on a whole shard.
#include <map>
#include <set>

#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

class OperatorTest : public ShardTest {
 protected:
  // Enqueues `count` mails to the domain without waiting for each; then waits for all.
  void Fill(const std::string& domain, int count) {
    std::atomic<int> done{0};
    for (int i = 0; i < count; ++i) {
      shard_->Enqueue(Mail({absl::StrCat("u", i, "@", domain)}), [&](absl::StatusOr<EnqueueResponse> answer) {
        EXPECT_TRUE(answer.ok()) << answer.status();
        ++done;
      });
    }
    ASSERT_TRUE(Eventually([&] { return done == count; }));
  }
  std::uint64_t FlushNow(const std::string& domain, const std::string& id = "") {
    v1::FlushRequest request;
    request.set_domain(domain);
    request.set_message_id(id);
    const auto answer =
        Await<v1::FlushResponse>([&](Done<v1::FlushResponse> done) { shard_->Flush(request, std::move(done)); });
    EXPECT_TRUE(answer.ok());
    return answer->flushed();
  }
  std::uint64_t PurgeNow(const std::string& domain) {
    v1::PurgeRequest request;
    request.set_domain(domain);
    const auto answer =
        Await<v1::PurgeResponse>([&](Done<v1::PurgeResponse> done) { shard_->Purge(request, std::move(done)); });
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer->purged();
  }
  void SuspendNow(const std::string& domain) {
    v1::SuspendRequest request;
    request.set_domain(domain);
    EXPECT_TRUE(Await<v1::SuspendResponse>([&](Done<v1::SuspendResponse> done) {
                  shard_->Suspend(request, std::move(done));
                }).ok());
  }
  v1::ListQueuesResponse Queues(const std::string& domain = "") {
    v1::ListQueuesRequest request;
    request.set_domain(domain);
    return *Await<v1::ListQueuesResponse>(
        [&](Done<v1::ListQueuesResponse> done) { shard_->ListQueues(request, std::move(done)); });
  }
  v1::ListDeliveriesResponse Deliveries(const std::string& domain, int limit = 0) {
    v1::ListDeliveriesRequest request;
    request.set_domain(domain);
    request.set_limit(limit);
    return *Await<v1::ListDeliveriesResponse>(
        [&](Done<v1::ListDeliveriesResponse> done) { shard_->ListDeliveries(request, std::move(done)); });
  }
  // Delivers all that comes until `count` were delivered; gives the recipients.
  std::multiset<std::string> DeliverAll(Worker& worker, int count) {
    std::multiset<std::string> seen;
    for (int i = 0; i < count && !HasFailure(); ++i) {
      const Lease lease = worker.Next();
      if (lease.body == nullptr) break;
      for (const auto& recipient : lease.delivery.recipients()) seen.insert(recipient.address());
      internal::v1::Verdict verdict;
      verdict.set_lease(lease.id);
      for (int r = 0; r < lease.delivery.recipients_size(); ++r) *verdict.add_outcomes() = Delivered();
      worker.stream().Report(std::move(verdict));
      worker.stream().Grant(1);
    }
    return seen;
  }
};

TEST_F(OperatorTest, DomainNeverHasMoreWorkersThanItsLimit) {
  options_.domain_concurrency = 3;
  Open();
  Worker worker(*shard_, 100);
  Fill("slow.test", 30);
  Fill("fast.test", 2);
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 5; }));
  EXPECT_TRUE(worker.NoneComes(absl::Milliseconds(100)) == false && worker.waiting() == 5);
  EXPECT_EQ(DeliverAll(worker, 32).size(), 32);
  ExpectSound();
}

TEST_F(OperatorTest, LimitCanBeRaisedWhileRunning) {
  options_.domain_concurrency = 1;
  Open();
  Worker worker(*shard_, 100);
  Fill("x.test", 10);
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 1; }));
  shard_->Reconfigure(std::nullopt, 4);
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 4; }));
}

TEST_F(OperatorTest, BigBacklogOfOneDomainDoesNotDelayAnother) {
  Open();
  Fill("big.test", 500);
  Fill("small.test", 1);
  Worker worker(*shard_, 4);
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 4; }));
  std::set<std::string> domains;
  for (int i = 0; i < 4; ++i) domains.insert(worker.Next().delivery.domain());
  EXPECT_TRUE(domains.contains("small.test"));
}

TEST_F(OperatorTest, TwentyThousandToOneDomainFlowThroughASmallWindow) {
  options_.window = 100;
  options_.domain_window = 50;
  Open();
  constexpr int kMails = 20'000;
  Fill("big.test", kMails);
  Fill("other.test", 3);
  EXPECT_EQ(Queues("big.test").queues(0).ready(), kMails);
  ExpectSound();
  Worker worker(*shard_, 50);
  const std::multiset<std::string> seen = DeliverAll(worker, kMails + 3);
  EXPECT_EQ(seen.size(), kMails + 3);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), kMails + 3);  // Each of them once.
  EXPECT_TRUE(Eventually([&] { return Check().deliveries() == 0; }));
  ExpectSound();
}

TEST_F(OperatorTest, HighPriorityPassesABacklogOfBulk) {
  options_.window = 20;
  options_.domain_window = 10;
  options_.domain_concurrency = 1;
  Open();
  for (int i = 0; i < 100; ++i) {
    EnqueueRequest bulk = Mail({absl::StrCat("bulk", i, "@x.test")});
    bulk.mutable_envelope()->set_priority(v1::PRIORITY_BULK);
    Accept(std::move(bulk));
  }
  EnqueueRequest high = Mail({"code@x.test"});
  high.mutable_envelope()->set_priority(v1::PRIORITY_HIGH);
  Accept(std::move(high));
  ExpectSound();
  Worker worker(*shard_, 1);
  EXPECT_EQ(worker.Next().delivery.recipients(0).address(), "code@x.test");
}

TEST_F(OperatorTest, ParkedMailSurvivesARestart) {
  options_.window = 20;
  options_.domain_window = 10;
  options_.domain_concurrency = 2;
  Open();
  Fill("x.test", 200);
  Reopen();
  ExpectSound();
  Worker worker(*shard_, 50);
  EXPECT_EQ(DeliverAll(worker, 200).size(), 200);
  EXPECT_TRUE(Eventually([&] { return Check().deliveries() == 0; }));
  ExpectSound();
}

TEST_F(OperatorTest, RetriesThatComeDueTogetherAreParkedAndAllTried) {
  options_.window = 20;
  options_.domain_window = 10;
  options_.domain_concurrency = 2;
  Open();
  {
    Worker worker(*shard_, 50);
    Fill("x.test", 300);
    for (int i = 0; i < 300; ++i) {
      const Lease lease = worker.Next();
      internal::v1::Verdict verdict;
      verdict.set_lease(lease.id);
      *verdict.add_outcomes() = Transient();
      worker.stream().Report(std::move(verdict));
      worker.stream().Grant(1);
    }
    EXPECT_TRUE(Eventually([&] { return worker.recorded() == 300; }));
  }
  EXPECT_EQ(Queues("x.test").queues(0).scheduled(), 300);
  EXPECT_EQ(Queues("x.test").queues(0).last_failure().smtp_code(), 450);
  clock_.Advance(absl::Minutes(10));
  EXPECT_TRUE(Eventually([&] { return Queues("x.test").queues(0).ready() == 300; }));
  ExpectSound();
  Worker worker(*shard_, 50);
  EXPECT_EQ(DeliverAll(worker, 300).size(), 300);
  EXPECT_TRUE(Eventually([&] { return Check().deliveries() == 0; }));
  ExpectSound();
}

TEST_F(OperatorTest, FlushMakesScheduledMailDue) {
  Open();
  Worker worker(*shard_, 10);
  std::vector<std::string> ids;
  for (const char* domain : {"x.test", "y.test", "z.test"}) {
    ids.push_back(Accept(Mail({absl::StrCat("a@", domain)})));
    worker.Report(worker.Next(), {Transient()});
  }
  EXPECT_TRUE(worker.NoneComes());
  EXPECT_EQ(FlushNow("X.test"), 1);
  EXPECT_EQ(worker.Next().delivery.domain(), "x.test");
  EXPECT_EQ(FlushNow("", ids[1]), 1);
  EXPECT_EQ(worker.Next().delivery.domain(), "y.test");
  EXPECT_EQ(FlushNow(""), 1);
  EXPECT_EQ(worker.Next().delivery.domain(), "z.test");
  EXPECT_EQ(FlushNow("no.test"), 0);
  ExpectSound();
}

TEST_F(OperatorTest, PurgeEndsEveryState) {
  options_.window = 8;
  options_.domain_window = 4;
  options_.domain_concurrency = 1;
  Open();
  Worker worker(*shard_, 1);
  Fill("x.test", 20);  // One leased, some ready, the rest parked.
  const Lease leased = worker.Next();
  EnqueueRequest later = Mail({"later@x.test", "kept@y.test"});
  later.set_due_micros(Now() + 60'000'000);
  const std::string id = Accept(std::move(later));
  EXPECT_EQ(PurgeNow("x.test"), 21);
  EXPECT_TRUE(Eventually([&] { return worker.revoked() == 1; }));
  EXPECT_EQ(Trace(id), "AAC");
  v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.cancelled_total(), 21);
  EXPECT_EQ(check.deliveries(), 1);
  EXPECT_EQ(check.bodies(), 1);
  // The verdict that comes too late changes nothing.
  internal::v1::Verdict verdict;
  verdict.set_lease(leased.id);
  *verdict.add_outcomes() = Delivered();
  worker.stream().Report(std::move(verdict));
  worker.stream().Grant(2);
  Accept(Mail({"new@x.test"}));
  worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
}

TEST_F(OperatorTest, ListsTellStateAndTimes) {
  Open();
  Worker worker(*shard_, 1);
  Accept(Mail({"a@x.test"}));
  const Lease lease = worker.Next();
  Accept(Mail({"b@x.test"}));
  EnqueueRequest later = Mail({"c@x.test"});
  later.set_due_micros(Now() + 60'000'000);
  Accept(std::move(later));
  SuspendNow("empty.test");
  const v1::ListQueuesResponse queues = Queues();
  ASSERT_EQ(queues.queues_size(), 2);
  const v1::QueueSummary& queue = queues.queues(0);
  EXPECT_EQ(queue.domain(), "x.test");
  EXPECT_EQ(queue.leased(), 1);
  EXPECT_EQ(queue.ready(), 1);
  EXPECT_EQ(queue.scheduled(), 1);
  EXPECT_EQ(queue.oldest_accept_time().seconds(), Now() / 1'000'000);
  EXPECT_EQ(queue.next_attempt_time().seconds(), Now() / 1'000'000 + 60);
  EXPECT_TRUE(queues.queues(1).suspended());
  std::map<std::string, std::string> states;
  const v1::ListDeliveriesResponse deliveries = Deliveries("x.test");
  for (const auto& delivery : deliveries.deliveries()) states[delivery.recipients(0)] = delivery.state();
  EXPECT_EQ(states, (std::map<std::string, std::string>{
                        {"a@x.test", "leased"}, {"b@x.test", "ready"}, {"c@x.test", "scheduled"}}));
  EXPECT_EQ(Deliveries("", 2).deliveries_size(), 2);
}

TEST_F(OperatorTest, ListOfManyRecipientsStaysSmall) {
  Open();
  constexpr int kMails = 8, kRecipients = 1000;
  const std::string pad(200, 'p');
  for (int i = 0; i < kMails; ++i) {
    EnqueueRequest mail = Mail({"first@many.test"});
    for (int r = 1; r < kRecipients; ++r) {
      mail.mutable_destinations(0)->add_recipients(absl::StrCat(pad, r, "@many.test"));
    }
    Accept(std::move(mail));
  }
  const v1::ListDeliveriesResponse all = Deliveries("many.test", 1000);
  EXPECT_GE(all.deliveries_size(), 1);
  EXPECT_LT(all.deliveries_size(), kMails);
  EXPECT_EQ(all.deliveries(0).recipients_size(), kRecipients);
  EXPECT_LT(all.ByteSizeLong(), 2u << 20);
}

}  // namespace
}  // namespace hikyaku::queue
