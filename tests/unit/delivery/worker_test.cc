#include "lib/delivery/worker.h"

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "lib/base/log.h"
#include "lib/dns/fake_resolver.h"
#include "lib/net/virtual_loop.h"
#include "tests/unit/delivery/fake_shard.h"
#include "tests/unit/delivery/fake_world.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kPatient = absl::Seconds(10);

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    log::SetLevel(log::Level::kOff);
    resolver_.SetAddresses("d.test", {"11.0.0.1"});
    mx_ = dialer_->Listen("11.0.0.1:25");
    options_.name = "test";
    options_.attempt.helo = "us.test";
    options_.concurrency = 10;
    options_.reopen_min = options_.reopen_max = absl::Milliseconds(1);
  }

  ~WorkerTest() override {
    worker_.reset();
    dialer_->Cancel();
    while (dialer_->connections() > 0) absl::SleepFor(absl::Milliseconds(1));
  }

  Worker& Start(std::vector<queue::Shard*> shards) {
    Network network{RouteTable(25), net::EgressGuard(), dialer_};
    worker_ =
        std::make_unique<Worker>(options_, std::move(shards), std::move(network), pool_, resolver_, Clock::System());
    return *worker_;
  }

  static queue::Lease Mail(std::uint64_t id, const std::string& domain = "d.test") {
    queue::Lease lease = MakeLease(domain, {absl::StrCat("r", id, "@", domain)});
    lease.id = id;
    return lease;
  }

  // Runs `then` once, when the host gets a command that begins with `prefix`.
  absl::Notification* When(const std::string& prefix) {
    auto seen = std::make_shared<absl::Notification>();
    notifications_.push_back(seen);
    mx_->Watch([seen, prefix](const std::string& command) {
      if (command.rfind(prefix, 0) == 0 && !seen->HasBeenNotified()) seen->Notify();
    });
    return seen.get();
  }

  net::IoPool pool_{2};
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeDialer> dialer_ = std::make_shared<FakeDialer>();
  std::shared_ptr<FakePeer> mx_;
  FakeShard shard_;
  FakeShard other_shard_;
  WorkerOptions options_;
  std::unique_ptr<Worker> worker_;
  std::vector<std::shared_ptr<absl::Notification>> notifications_;
};

TEST_F(WorkerTest, ReportsAVerdictForEachLease) {
  FakeShard& shard = shard_;
  mx_->On("RCPT TO:<r2@", {"550 5.1.1 no"});
  Start({&shard});
  shard.Offer(Mail(1));
  shard.Offer(Mail(2));
  ASSERT_TRUE(shard.WaitForVerdicts(2));
  for (const auto& verdict : shard.verdicts()) {
    ASSERT_EQ(verdict.outcomes_size(), 1);
    EXPECT_EQ(verdict.outcomes(0).kind(),
              verdict.lease() == 1 ? v1::Outcome::KIND_DELIVERED : v1::Outcome::KIND_PERMANENT);
    EXPECT_GT(verdict.outcomes(0).time().seconds(), 0);
  }
  EXPECT_TRUE(worker_->Stop(kPatient));
}

TEST_F(WorkerTest, HoldsNoMoreLeasesThanItsConcurrency) {
  FakeShard& shard = shard_;
  options_.concurrency = 3;
  mx_->On("", {"hang"});
  Start({&shard});
  for (int i = 1; i <= 20; ++i) shard.Offer(Mail(i));
  while (worker_->in_flight() < 3) absl::SleepFor(absl::Milliseconds(1));
  absl::SleepFor(absl::Milliseconds(20));  // Nothing to wait for: no more must come.
  EXPECT_EQ(shard.handed_out(), 3u);
  EXPECT_EQ(worker_->in_flight(), 3u);
}

TEST_F(WorkerTest, SplitsItsConcurrencyOverTheShards) {
  FakeShard& one = shard_;
  FakeShard& two = other_shard_;
  Start({&one, &two});
  ASSERT_TRUE(one.WaitForStreams(1));
  ASSERT_TRUE(two.WaitForStreams(1));
  EXPECT_EQ(one.credits(), 5u);
  EXPECT_EQ(two.credits(), 5u);
  EXPECT_EQ(worker_->connected_shards(), 2u);
  one.Offer(Mail(1));
  two.Offer(Mail(1));
  EXPECT_TRUE(one.WaitForVerdicts(1));
  EXPECT_TRUE(two.WaitForVerdicts(1));
}

TEST_F(WorkerTest, ManyMailsAreDeliveredOnceEachOverFewConnections) {
  FakeShard& shard = shard_;
  Start({&shard});
  constexpr int kMails = 1000;
  for (int i = 1; i <= kMails; ++i) shard.Offer(Mail(i));
  ASSERT_TRUE(shard.WaitForVerdicts(kMails));
  EXPECT_TRUE(worker_->Stop(kPatient));
  const auto commands = mx_->commands();
  std::set<std::string> recipients;
  for (const std::string& command : commands) {
    const bool twice = command.rfind("RCPT", 0) == 0 && !recipients.insert(command).second;
    EXPECT_FALSE(twice) << command;
  }
  EXPECT_EQ(recipients.size(), static_cast<std::size_t>(kMails));
  EXPECT_LE(mx_->connections(), 30);  // 10 at a time, each for 100 messages.
}

TEST_F(WorkerTest, RenewsWhileItHoldsALease) {
  FakeShard& shard = shard_;
  shard.SetLeaseTime(absl::Milliseconds(30));
  mx_->On("", {"hang"});
  Start({&shard});
  shard.Offer(Mail(1));
  EXPECT_TRUE(shard.WaitForRenewals(3));
}

TEST_F(WorkerTest, OpensAnotherStreamWhenTheShardEndsOne) {
  FakeShard& shard = shard_;
  Start({&shard});
  ASSERT_TRUE(shard.WaitForStreams(1));
  shard.Break();
  ASSERT_TRUE(shard.WaitForStreams(2));
  shard.Offer(Mail(1));
  EXPECT_TRUE(shard.WaitForVerdicts(1));
}

TEST_F(WorkerTest, LeaseOfAnEndedStreamIsNotSent) {
  FakeShard& shard = shard_;
  mx_->On("RCPT", {"slowly 250 ok"});
  auto* const begun = When("RCPT");
  Start({&shard});
  shard.Offer(Mail(1));
  begun->WaitForNotification();
  shard.Break();
  ASSERT_TRUE(shard.WaitForStreams(2));
  while (worker_->in_flight() > 0) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(mx_->bodies().empty());
  EXPECT_TRUE(shard.verdicts().empty());
}

TEST_F(WorkerTest, RevokedLeaseIsNotSent) {
  FakeShard& shard = shard_;
  mx_->On("RCPT", {"slowly 250 ok"});
  auto* const begun = When("RCPT");
  Start({&shard});
  ASSERT_TRUE(shard.WaitForStreams(1));
  shard.Offer(Mail(1));
  begun->WaitForNotification();
  shard.Revoke(1);
  while (worker_->in_flight() > 0) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(mx_->bodies().empty());
  EXPECT_TRUE(shard.verdicts().empty());
  EXPECT_EQ(shard.credits(), 10u);
}

// A process that was stopped for longer than its lease has not read yet that the lease was taken back. Its wall clock
// may have been set back meanwhile.
TEST(StoppedWorker, SendsNothingUnderALeaseThatRanOutAndGivesItBack) {
  log::SetLevel(log::Level::kOff);
  net::VirtualLoop loop;
  net::IoPool pool(loop.executor());
  dns::FakeResolver resolver;
  resolver.SetAddresses("d.test", {"11.0.0.1"});
  const auto dialer = std::make_shared<FakeDialer>();
  const auto mx = dialer->Listen("11.0.0.1:25");
  mx->On("RCPT", {"slowly 250 ok"});
  FakeShard shard;
  shard.SetLeaseTime(absl::Seconds(60));
  FakeClock clock;
  WorkerOptions options;
  options.attempt.helo = "us.test";
  options.concurrency = 10;
  {
    Worker worker(options, {&shard}, {RouteTable(25), net::EgressGuard(), dialer}, pool, resolver, clock);
    loop.RunReady();
    queue::Lease lease = MakeLease("d.test", {"r@d.test"});
    lease.id = 1;
    shard.Offer(std::move(lease));
    loop.RunReady();
    ASSERT_EQ(mx->Count("RCPT"), 1);
    clock.Advance(-absl::Hours(1));
    loop.MoveTo(absl::Seconds(60));
    EXPECT_EQ(worker.in_flight(), 0u);
    EXPECT_TRUE(mx->bodies().empty());
    EXPECT_TRUE(shard.verdicts().empty());
    EXPECT_EQ(shard.given_back(), (std::vector<std::uint64_t>{1}));
    EXPECT_EQ(shard.credits(), 10u);
    worker.Cancel();
    loop.RunReady();
    EXPECT_TRUE(worker.ended());
  }
  dialer->Cancel();
  loop.RunReady();
}

TEST_F(WorkerTest, StopGivesBackWhatHasNotBegunAtOnce) {
  FakeShard& shard = shard_;
  mx_->On("", {"hang"});
  auto* const connected = When("");
  Start({&shard});
  shard.Offer(Mail(7));
  connected->WaitForNotification();
  EXPECT_TRUE(worker_->Stop(kPatient));
  EXPECT_EQ(shard.given_back(), (std::vector<std::uint64_t>{7}));
  EXPECT_TRUE(shard.verdicts().empty());
}

TEST_F(WorkerTest, StopWaitsForTheReplyToTheDot) {
  FakeShard& shard = shard_;
  mx_->On(".", {"slowly 250 ok"});
  auto* const sent = When(".");
  Start({&shard});
  shard.Offer(Mail(1));
  sent->WaitForNotification();
  EXPECT_TRUE(worker_->Stop(kPatient));
  ASSERT_EQ(shard.verdicts().size(), 1u);
  EXPECT_EQ(shard.verdicts()[0].outcomes(0).kind(), v1::Outcome::KIND_DELIVERED);
}

TEST_F(WorkerTest, StopWithoutPatienceReportsTheDotAsAmbiguous) {
  FakeShard& shard = shard_;
  mx_->On(".", {"hang"});
  auto* const sent = When(".");
  Start({&shard});
  shard.Offer(Mail(1));
  sent->WaitForNotification();
  EXPECT_FALSE(worker_->Stop(absl::ZeroDuration()));
  ASSERT_EQ(shard.verdicts().size(), 1u);
  EXPECT_TRUE(shard.verdicts()[0].outcomes(0).ambiguous());
  EXPECT_TRUE(shard.given_back().empty());
}

TEST_F(WorkerTest, StopInsideATransactionBeforeTheDotGivesBack) {
  FakeShard& shard = shard_;
  mx_->On("RCPT", {"hang"});
  auto* const begun = When("RCPT");
  Start({&shard});
  shard.Offer(Mail(1));
  begun->WaitForNotification();
  EXPECT_FALSE(worker_->Stop(absl::ZeroDuration()));
  EXPECT_EQ(shard.given_back(), (std::vector<std::uint64_t>{1}));
}

TEST_F(WorkerTest, NewRoutesHoldForTheNextLease) {
  FakeShard& shard = shard_;
  auto relay = dialer_->Listen("127.0.0.1:2525");
  Start({&shard});
  shard.Offer(Mail(1));
  ASSERT_TRUE(shard.WaitForVerdicts(1));
  worker_->Update({*RouteTable::Create({{"*", "[127.0.0.1]:2525"}}, 25), net::EgressGuard(), dialer_});
  shard.Offer(Mail(2));
  ASSERT_TRUE(shard.WaitForVerdicts(2));
  EXPECT_EQ(mx_->bodies().size(), 1u);
  EXPECT_EQ(relay->bodies().size(), 1u);
}

}  // namespace
}  // namespace hikyaku::delivery
