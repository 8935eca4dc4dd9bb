// How fast the shard goes at a domain: few connections at first, a rest when nothing works; and what it costs to know
// many domains.
#include "lib/queue/pace.h"

#include <set>
#include <vector>

#include "lib/queue/domain_table.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

constexpr std::int64_t kSecond = 1'000'000;

TEST(Pace, GrowsWithEachSuccessUpToTheMost) {
  const PacePolicy policy;
  Pace pace;
  EXPECT_EQ(pace.Limit(policy), 5);
  EXPECT_FALSE(pace.proven(policy));
  for (int i = 0; i < 3; ++i) pace.Succeeded(policy, 7);
  EXPECT_EQ(pace.Limit(policy), 7);
  EXPECT_TRUE(pace.proven(policy));
}

TEST(Pace, FewFailuresChangeNothing) {
  const PacePolicy policy;
  Pace pace;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pace.Failed(policy), 0);
    if (i % 4 == 3) pace.Succeeded(policy, 20);
  }
  EXPECT_EQ(pace.Limit(policy), 20);
}

TEST(Pace, RestsAfterFailuresInARowAndLongerEachTime) {
  const PacePolicy policy;
  Pace pace;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(pace.Failed(policy), 0);
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    EXPECT_EQ(pace.Failed(policy), seconds * kSecond);
    EXPECT_EQ(pace.Limit(policy), 1);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(pace.Failed(policy), 60 * kSecond);
  pace.Succeeded(policy, 20);
  EXPECT_EQ(pace.Limit(policy), 2);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(pace.Failed(policy), 0);
  EXPECT_EQ(pace.Failed(policy), kSecond);
}

TEST(DomainTable, OnlyNumbersAreKeptOfDomainsThatNeedNoRecord) {
  DomainTable table;
  for (int i = 0; i < 3000; ++i) table.Opened(absl::StrCat("d", i % 1000, ".test"));
  EXPECT_EQ(table.size(), 1000);
  EXPECT_EQ(table.Find("d7.test"), nullptr);
  EXPECT_EQ(table.Other(DomainTable::Hash("d7.test")), 3);
  Domain& domain = table.Get("d7.test");
  EXPECT_EQ(domain.open, 3);
  EXPECT_EQ(table.Other(DomainTable::Hash("d7.test")), 0);
  table.Opened("d7.test");
  EXPECT_EQ(domain.open, 4);
  EXPECT_EQ(table.size(), 1000);
  table.Drop(domain);
  EXPECT_EQ(table.Other(DomainTable::Hash("d7.test")), 4);
  Domain& again = table.Get("d7.test");
  again.open = 0;
  table.Drop(again);
  EXPECT_EQ(table.size(), 999);
}

TEST(DomainTable, DomainWithVeryMuchMailKeepsItsName) {
  DomainTable table;
  for (int i = 0; i < 1000; ++i) table.Opened("big.test");
  Domain* domain = table.Find("big.test");
  ASSERT_NE(domain, nullptr);
  EXPECT_EQ(domain->open, 1000);
  table.Drop(*domain);
  EXPECT_EQ(table.Find("big.test"), domain);
  domain->open = 999;
  table.Drop(*domain);
  EXPECT_EQ(table.Find("big.test"), nullptr);
  EXPECT_EQ(table.Other(DomainTable::Hash("big.test")), 999);
}

class PacedShardTest : public ShardTest {
 protected:
  PacedShardTest() {
    options_.pace = PacePolicy();
    options_.domain_concurrency = 20;
    Open();
  }

  static v1::Outcome Unreachable() {
    v1::Outcome outcome = Transient("connection refused");
    outcome.set_scope(v1::Outcome::SCOPE_HOST);
    outcome.set_smtp_code(0);
    return outcome;
  }
  void Fill(const std::string& domain, int count) {
    for (int i = 0; i < count; ++i) ids_.push_back(Accept(Mail({absl::StrCat("u", i, "@", domain)})));
  }
  std::vector<Lease> Leases(Worker& worker, int count) {
    std::vector<Lease> leases;
    for (int i = 0; i < count; ++i) leases.push_back(worker.Next());
    return leases;
  }
  // Until the domain rests: five failures, and those that were begun between the first and the last of them.
  static constexpr int kUntilRest = 9;
  void FailUntilRest(Worker& worker) {
    for (int i = 0; i < kUntilRest; ++i) worker.Report(worker.Next(), {Unreachable()});
    EXPECT_TRUE(worker.NoneComes());
  }
  std::string WaitsFor(const std::string& id) {
    const auto message = Message(id);
    return message.ok() && message->deliveries_size() == 1 ? message->deliveries(0).waits_for() : "?";
  }

  std::vector<std::string> ids_;
};

TEST_F(PacedShardTest, ConnectionsGrowFromFew) {
  Fill("x.test", 40);
  Worker worker(*shard_, 100);
  std::vector<Lease> first = Leases(worker, 5);
  EXPECT_TRUE(worker.NoneComes());
  EXPECT_EQ(WaitsFor(ids_.back()), "domain limit");
  for (const Lease& lease : first) worker.Report(lease, {Delivered()});
  std::vector<Lease> second = Leases(worker, 10);
  EXPECT_TRUE(worker.NoneComes());
  for (const Lease& lease : second) worker.Report(lease, {Delivered()});
  Leases(worker, 20);
  EXPECT_TRUE(worker.NoneComes()) << "more than queue.domain_concurrency";
}

TEST_F(PacedShardTest, RefusedMailIsNoReasonToRest) {
  Fill("x.test", 12);
  Worker worker(*shard_, 100);
  for (int i = 0; i < 12; ++i) worker.Report(worker.Next(), {i % 2 == 0 ? Permanent() : Transient()});
}

TEST_F(PacedShardTest, DeadDomainCostsATryNowAndThenUntilItLives) {
  constexpr int kMails = 60;
  Fill("dead.test", kMails);
  Worker worker(*shard_, 100);
  FailUntilRest(worker);
  EXPECT_EQ(WaitsFor(ids_.back()), "domain pause");

  Accept(Mail({"a@well.test"}));  // Others do not rest with it.
  worker.Report(worker.Next(), {Delivered()});

  for (const int seconds : {1, 2, 4}) {
    clock_.Advance(absl::Milliseconds(seconds * 1000 - 100));
    EXPECT_TRUE(worker.NoneComes());
    clock_.Advance(absl::Milliseconds(200));
    const Lease probe = worker.Next();
    EXPECT_TRUE(worker.NoneComes()) << "one is enough to see";
    worker.Report(probe, {Unreachable()});
  }
  clock_.Advance(absl::Seconds(9));
  int delivered = 0;
  for (; delivered < kMails - kUntilRest - 3; ++delivered) worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  ExpectSound();
}

TEST_F(PacedShardTest, FailuresOfOneRoundBringOneRest) {
  Fill("x.test", 60);
  Worker worker(*shard_, 100);
  for (int i = 0; i < 30; ++i) worker.Report(worker.Next(), {Delivered()});
  for (const Lease& lease : Leases(worker, 20)) worker.Report(lease, {Unreachable()});
  clock_.Advance(absl::Milliseconds(1100));
  worker.Report(worker.Next(), {Delivered()});
  Leases(worker, 2);
}

TEST_F(PacedShardTest, FlushEndsTheRest) {
  Fill("dead.test", kUntilRest + 1);
  Worker worker(*shard_, 100);
  FailUntilRest(worker);
  v1::FlushRequest request;
  request.set_domain("dead.test");
  ASSERT_TRUE(
      Await<v1::FlushResponse>([&](Done<v1::FlushResponse> done) { shard_->Flush(request, std::move(done)); }).ok());
  worker.Next();
}

TEST_F(PacedShardTest, MailOfARestingDomainEndsAtItsTime) {
  Fill("dead.test", kUntilRest);
  EnqueueRequest mail = Mail({"late@dead.test"});
  mail.mutable_envelope()->set_expire_micros(Now() + 30 * kSecond);
  const std::string id = Accept(std::move(mail));
  Worker worker(*shard_, 100);
  FailUntilRest(worker);
  SuspendDomain("dead.test");  // So that no probe takes it.
  clock_.Advance(absl::Seconds(31));
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AE"; })) << Trace(id);
}

TEST_F(PacedShardTest, ScheduledMailNeedsNoRecordAndIsCounted) {
  for (int i = 0; i < 50; ++i) {
    EnqueueRequest mail = Mail({absl::StrCat("u@d", i % 10, ".test")});
    mail.set_due_micros(Now() + 3600 * kSecond);
    Accept(std::move(mail));
  }
  const auto list = [&](int limit, const std::string& domain) {
    v1::ListQueuesRequest request;
    request.set_limit(limit);
    request.set_domain(domain);
    return *Await<v1::ListQueuesResponse>(
        [&](Done<v1::ListQueuesResponse> done) { shard_->ListQueues(request, std::move(done)); });
  };
  for (int restart = 0; restart < 2; ++restart) {
    const v1::ListQueuesResponse all = list(0, "");
    ASSERT_EQ(all.queues_size(), 10);
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(all.queues(i).domain(), absl::StrCat("d", i, ".test"));
      EXPECT_EQ(all.queues(i).scheduled(), 5);
      EXPECT_EQ(all.queues(i).ready(), 0);
    }
    EXPECT_EQ(list(3, "").queues_size(), 3);
    EXPECT_EQ(list(0, "d3.test").queues(0).scheduled(), 5);
    EXPECT_EQ(list(0, "other.test").queues_size(), 0);
    if (restart == 0) Reopen();
  }
  clock_.Advance(absl::Hours(2));
  Worker worker(*shard_, 100);
  std::multiset<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    const Lease lease = worker.Next();
    seen.insert(lease.delivery.domain());
    worker.Report(lease, {Delivered()});
  }
  EXPECT_EQ(seen.count("d3.test"), 5);
  EXPECT_EQ(list(0, "").queues_size(), 0);
  ExpectSound();
}

}  // namespace
}  // namespace hikyaku::queue
