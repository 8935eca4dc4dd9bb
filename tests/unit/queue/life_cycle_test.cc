#include "lib/queue/local_shard.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

using LifeCycle = ShardTest;

TEST_F(LifeCycle, DeliveredMailLeavesNothingBehind) {
  Open();
  Worker worker(*shard_, 10);
  const std::string id = Accept(Mail({"a@x.test"}, "the body"));
  const Lease lease = worker.Next();
  EXPECT_EQ(*lease.body, "the body");
  EXPECT_EQ(lease.delivery.domain(), "x.test");
  EXPECT_EQ(lease.delivery.envelope().sender(), "sender@example.org");
  EXPECT_EQ(lease.delivery.recipients(0).address(), "a@x.test");
  worker.Report(lease, {Delivered()});
  EXPECT_EQ(Trace(id), "AD");
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.deliveries(), 0);
  EXPECT_EQ(check.bodies(), 0);
  EXPECT_EQ(check.accepted_total(), 1);
  EXPECT_EQ(check.delivered_total(), 1);
  const auto message = Message(id);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->deliveries(0).state(), v1::DeliveryStatus::STATE_FINISHED);
  EXPECT_EQ(message->deliveries(0).recipients(0).state(), v1::RECIPIENT_STATE_DELIVERED);
}

TEST_F(LifeCycle, MessageIsFoundByItsHeader) {
  Open();
  EnqueueRequest mail = Mail({"a@x.test"});
  const std::string header = mail.envelope().message_id_header();
  const std::string id = Accept(std::move(mail));
  v1::GetMessageRequest request;
  request.set_message_id_header("<" + header + ">");
  const auto message = Await<v1::GetMessageResponse>(
      [&](Done<v1::GetMessageResponse> done) { shard_->GetMessage(request, std::move(done)); });
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(message->message_id(), id);
  request.set_message_id_header("other@example.org");
  EXPECT_TRUE(absl::IsNotFound(Await<v1::GetMessageResponse>([&](Done<v1::GetMessageResponse> done) {
                                 shard_->GetMessage(request, std::move(done));
                               }).status()));
}

TEST_F(LifeCycle, MessageIsFoundByAHeaderThatWeMade) {
  Open();
  EnqueueRequest mail = Mail({"a@x.test"});
  const std::string own = MessageId::FromBytes(mail.envelope().message_id())->text() + "@our.host";
  mail.mutable_envelope()->set_message_id_header(own);
  const std::string id = Accept(std::move(mail));
  EnqueueRequest forged = Mail({"b@x.test"});  // Another's Message-ID that looks like the id of ours.
  forged.mutable_envelope()->set_message_id_header(id + "@forged.host");
  const std::string other = Accept(std::move(forged));
  const auto find = [&](const std::string& header) {
    v1::GetMessageRequest request;
    request.set_message_id_header(header);
    const auto found = Await<v1::GetMessageResponse>(
        [&](Done<v1::GetMessageResponse> done) { shard_->GetMessage(request, std::move(done)); });
    return found.ok() ? found->message_id() : std::string(found.status().message());
  };
  EXPECT_EQ(find(own), id);
  EXPECT_EQ(find("<" + id + "@forged.host>"), other);
  Worker worker(*shard_, 2);
  worker.Report(worker.Next(), {Delivered()});
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_EQ(find(own), id);
}

TEST_F(LifeCycle, EachRecipientGetsItsOwnFate) {
  Open();
  Worker worker(*shard_, 10);
  const std::string id = Accept(Mail({"ok@x.test", "bad@x.test", "later@x.test"}));
  worker.Report(worker.Next(), {Delivered(), Permanent(), Transient()});
  EXPECT_EQ(Trace(id), "ADBd");
  auto message = Message(id);
  ASSERT_TRUE(message.ok());
  const v1::DeliveryStatus& delivery = message->deliveries(0);
  EXPECT_EQ(delivery.state(), v1::DeliveryStatus::STATE_SCHEDULED);
  EXPECT_EQ(delivery.attempts(), 1);
  EXPECT_EQ(delivery.recipients(0).state(), v1::RECIPIENT_STATE_DELIVERED);
  EXPECT_EQ(delivery.recipients(1).state(), v1::RECIPIENT_STATE_BOUNCED);
  EXPECT_EQ(delivery.recipients(2).state(), v1::RECIPIENT_STATE_DEFERRED);
  ExpectSound();
  clock_.Advance(absl::Minutes(6) + absl::Seconds(1));
  const Lease again = worker.Next();
  ASSERT_EQ(again.delivery.recipients_size(), 1);
  EXPECT_EQ(again.delivery.recipients(0).address(), "later@x.test");
  EXPECT_FALSE(again.body->empty());
  worker.Report(again, {Delivered()});
  EXPECT_EQ(Trace(id), "ADBdD");
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.accepted_total(), 3);
  EXPECT_EQ(check.bodies(), 0);
}

TEST_F(LifeCycle, BodyLivesUntilTheLastDestination) {
  Open();
  Worker worker(*shard_, 10);
  Accept(Mail({"a@x.test", "a@y.test"}));
  const Lease first = worker.Next(), second = worker.Next();
  worker.Report(first, {Delivered()});
  EXPECT_EQ(Check().bodies(), 1);
  worker.Report(second, {Permanent()});
  EXPECT_EQ(Check().bodies(), 0);
  ExpectSound();
}

TEST_F(LifeCycle, MissingOutcomeMeansTryAgain) {
  Open();
  Worker worker(*shard_, 10);
  const std::string id = Accept(Mail({"a@x.test", "b@x.test"}));
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_EQ(Trace(id), "ADd");
  ExpectSound();
}

TEST_F(LifeCycle, NotBeforeWaits) {
  Open();
  Worker worker(*shard_, 10);
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.set_due_micros(Now() + 3'600'000'000);
  const std::string id = Accept(std::move(mail));
  EXPECT_TRUE(worker.NoneComes());
  EXPECT_EQ(Message(id)->deliveries(0).state(), v1::DeliveryStatus::STATE_SCHEDULED);
  ExpectSound();
  clock_.Advance(absl::Hours(1));
  worker.Report(worker.Next(), {Delivered()});
}

TEST_F(LifeCycle, RetriesDoubleAndStayWithinJitter) {
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test"}));
  absl::Duration expected = absl::Minutes(5);
  for (int attempt = 1; attempt <= 8; ++attempt) {
    worker.Report(worker.Next(), {Transient()});
    const auto message = Message(id);
    const v1::DeliveryStatus& delivery = message->deliveries(0);
    EXPECT_EQ(delivery.attempts(), attempt);
    const absl::Duration wait = absl::FromUnixSeconds(delivery.next_attempt_time().seconds()) - clock_.Now();
    EXPECT_GE(wait, expected * 0.79);
    EXPECT_LE(wait, expected * 1.21);
    clock_.Advance(wait + absl::Seconds(1));
    expected = std::min(expected * 2, absl::Duration(absl::Hours(4)));
  }
}

TEST_F(LifeCycle, PeerMayAskForALongerWait) {
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test"}));
  worker.Report(worker.Next(), {Transient()}, Now() + 7'200'000'000);
  EXPECT_EQ(Message(id)->deliveries(0).next_attempt_time().seconds(), Now() / 1'000'000 + 7200);
}

TEST_F(LifeCycle, LeaseGivenBackComesAgainUnchanged) {
  Open();
  Worker worker(*shard_, 1);
  Accept(Mail({"a@x.test"}));
  worker.stream().GiveBack(worker.Next().id);
  worker.stream().Grant(1);
  const Lease again = worker.Next();
  EXPECT_EQ(again.delivery.attempts(), 0);
  worker.Report(again, {Delivered()});
  ExpectSound();
}

TEST_F(LifeCycle, ClosedStreamGivesItsLeasesBack) {
  Open();
  Worker worker(*shard_, 5);
  Accept(Mail({"a@x.test"}));
  worker.Next();
  worker.Close();
  EXPECT_TRUE(absl::IsCancelled(worker.closed()));
  EXPECT_EQ(worker.closings(), 1);
  Worker other(*shard_, 5);
  other.Report(other.Next(), {Delivered()});
  ExpectSound();
}

TEST_F(LifeCycle, SilentWorkerLosesItsLease) {
  Open();
  Worker silent(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test"}));
  const Lease lost = silent.Next();
  for (int i = 0; i < 4; ++i) {
    clock_.Advance(absl::Seconds(25));
    absl::SleepFor(absl::Milliseconds(80));
  }
  EXPECT_TRUE(Eventually([&] { return silent.revoked() == 1; }));
  Worker other(*shard_, 1);
  const Lease found = other.Next();
  // The late verdict of the first is ignored.
  internal::v1::Verdict verdict;
  verdict.set_lease(lost.id);
  *verdict.add_outcomes() = Permanent();
  silent.stream().Report(verdict);
  other.Report(found, {Delivered()});
  EXPECT_EQ(Trace(id), "AD");
}

// It had nothing to renew: its first lease has the whole time nevertheless.
TEST_F(LifeCycle, WorkerThatWasIdleForLongKeepsItsLease) {
  Open();
  Worker worker(*shard_, 1);
  for (int i = 0; i < 4; ++i) {
    clock_.Advance(absl::Seconds(25));
    absl::SleepFor(absl::Milliseconds(80));
  }
  Accept(Mail({"a@x.test"}));
  const Lease lease = worker.Next();
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Seconds(20));
    absl::SleepFor(absl::Milliseconds(80));
  }
  EXPECT_EQ(worker.revoked(), 0);
  worker.Report(lease, {Delivered()});
}

TEST_F(LifeCycle, RenewKeepsALease) {
  Open();
  Worker worker(*shard_, 1);
  Accept(Mail({"a@x.test"}));
  const Lease lease = worker.Next();
  for (int i = 0; i < 6; ++i) {
    clock_.Advance(absl::Seconds(20));
    absl::SleepFor(absl::Milliseconds(60));
    worker.stream().Renew();
  }
  EXPECT_EQ(worker.revoked(), 0);
  worker.Report(lease, {Delivered()});
}

TEST_F(LifeCycle, MailThatKillsWorkersIsPutOff) {
  Open();
  const std::string id = Accept(Mail({"a@x.test"}));
  int leases = 0;
  for (int i = 0; i < 8; ++i) {
    Worker worker(*shard_, 1);
    if (!Eventually([&] { return worker.waiting() > 0; }, absl::Milliseconds(300))) break;
    ++leases;
  }
  EXPECT_EQ(leases, 5);
  EXPECT_TRUE(Eventually([&] { return Message(id)->deliveries(0).state() == v1::DeliveryStatus::STATE_SCHEDULED; }));
  ExpectSound();
  clock_.Advance(absl::Minutes(7));
  Worker worker(*shard_, 1);
  worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
}

TEST_F(LifeCycle, LeasesOfOneMessageShareItsBody) {
  options_.hot_bodies = 0;
  options_.leased_bodies = 150'000;
  Open();
  Worker worker(*shard_, 0);
  Accept(Mail({"a@a.test", "a@b.test", "a@c.test"}, std::string(100'000, 'x')));
  worker.stream().Grant(1);
  const Lease first = worker.Next();
  worker.stream().Grant(2);
  const Lease second = worker.Next(), third = worker.Next();
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(first.body, third.body);
  for (const Lease& lease : {first, second, third}) worker.Report(lease, {Delivered()});
  ExpectSound();
}

TEST_F(LifeCycle, LargeBodiesInHandAreBoundedAndSmallOnesGoOn) {
  options_.hot_bodies = 0;
  options_.leased_bodies = 150'000;
  Open();
  for (const char* address : {"a@a.test", "a@b.test", "a@c.test"}) Accept(Mail({address}, std::string(100'000, 'x')));
  Accept(Mail({"a@d.test"}));
  Worker worker(*shard_, 10);
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 2; }));
  EXPECT_FALSE(Eventually([&] { return worker.waiting() > 2; }, absl::Milliseconds(200)));
  for (int i = 0; i < 4; ++i) worker.Report(worker.Next(), {Delivered()});
  EXPECT_EQ(Check().deliveries(), 0);
  ExpectSound();
}

// A tenant's backlog to a domain, parked on disk, does not stand before another tenant's mail to the same domain.
TEST_F(LifeCycle, BacklogOfOneTenantDoesNotHoldUpAnother) {
  options_.domain_concurrency = 1;
  options_.window = 10;
  options_.domain_window = 4;
  Open();
  for (int i = 0; i < 30; ++i) Accept(Mail({"a@x.test"}));
  EnqueueRequest other = Mail({"a@x.test"});
  other.mutable_envelope()->set_tenant("other");
  Accept(std::move(other));
  ExpectSound();
  Reopen();  // The lanes are found again.
  Worker worker(*shard_, 1);
  int before = 0;
  for (bool found = false; !found && before < 30;) {
    const Lease lease = worker.Next();
    found = lease.delivery.envelope().tenant() == "other";
    before += !found;
    worker.Report(lease, {Delivered()});
  }
  EXPECT_LE(before, 15);  // Of 30; some go out before the new shard has read what is due.
  ExpectSound();
  for (int i = before; i < 30; ++i) worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  EXPECT_EQ(Check().deliveries(), 0);
  ExpectSound();
}

}  // namespace
}  // namespace hikyaku::queue
