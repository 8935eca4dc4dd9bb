#include "lib/queue/local_shard.h"

#include <filesystem>
#include <thread>

#include "lib/base/random.h"
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

using Expiry = ShardTest;

TEST_F(Expiry, ScheduledMailEndsWithItsLastError) {
  options_.lifetime = absl::Hours(1);
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test"}));
  worker.Report(worker.Next(), {Transient("451 4.7.1 come later")}, Now() + 30 * 3'600'000'000ll);
  clock_.Advance(absl::Minutes(61));
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AdE"; })) << Trace(id);
  const v1::Event event = Message(id)->events(2);
  EXPECT_EQ(event.outcome().enhanced_code(), "4.4.7");
  EXPECT_NE(event.outcome().text().find("451 4.7.1 come later"), std::string::npos);
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.expired_total(), 1);
  EXPECT_EQ(check.bodies(), 0);
}

TEST_F(Expiry, VerdictAfterTheEndExpires) {
  options_.lifetime = absl::Hours(1);
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test", "b@x.test"}));
  const Lease lease = worker.Next();
  clock_.Advance(absl::Hours(2));
  worker.stream().Renew();
  worker.Report(lease, {Transient(), Delivered()});
  EXPECT_EQ(Trace(id), "AED");
  ExpectSound();
}

// A string field with half a character in it could not be read again, and the event would be gone.
TEST_F(Expiry, LastErrorIsCutBetweenCharacters) {
  options_.lifetime = absl::Hours(1);
  Open();
  Worker worker(*shard_, 2);
  std::string text = "4";
  for (int i = 0; i < 600; ++i) text += "\u00e9";
  const std::string reported = Accept(Mail({"a@x.test"}));
  const std::string waited = Accept(Mail({"a@y.test"}));
  const Lease first = worker.Next(), second = worker.Next();
  worker.Report(second, {Transient(text)}, Now() + 30 * 3'600'000'000ll);
  clock_.Advance(absl::Hours(2));
  worker.stream().Renew();
  worker.Report(first, {Transient(text)});
  EXPECT_TRUE(Eventually([&] { return Trace(waited) == "AdE"; }, absl::Seconds(5))) << Trace(waited);
  EXPECT_EQ(Trace(reported), "AE");
}

TEST_F(Expiry, ReadyMailOfASuspendedDomainEnds) {
  options_.event_retention = absl::Hours(30 * 24);
  Open();
  v1::SuspendRequest suspend;
  suspend.set_domain("X.test");
  const std::string held = Accept(Mail({"a@x.test"}));  // In memory.
  ASSERT_TRUE(Await<v1::SuspendResponse>([&](Done<v1::SuspendResponse> done) {
                shard_->Suspend(suspend, std::move(done));
              }).ok());
  EnqueueRequest mail = Mail({"a@x.test"});  // Parked.
  mail.mutable_envelope()->set_expire_micros(Now() + 60'000'000);
  const std::string parked = Accept(std::move(mail));
  ExpectSound();
  Worker worker(*shard_, 5);
  EXPECT_TRUE(worker.NoneComes());
  EXPECT_EQ(Message(parked)->deliveries(0).waits_for(), "suspended");
  clock_.Advance(absl::Hours(6 * 24) + absl::Minutes(1));
  EXPECT_TRUE(Eventually([&] { return Trace(held) == "AE" && Trace(parked) == "AE"; })) << Trace(held) << Trace(parked);
  EXPECT_EQ(worker.seen(), 0);
  ExpectSound();
}

// Parked when nothing else is due: its end must be polled all the same.
TEST_F(Expiry, ParkedMailOfAnIdleShardEnds) {
  Open();
  SuspendDomain("x.test");
  absl::SleepFor(absl::Milliseconds(200));  // The first poll finds nothing, and would never come again.
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.mutable_envelope()->set_expire_micros(Now() + 60'000'000);
  const std::string id = Accept(std::move(mail));
  clock_.Advance(absl::Minutes(2));
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AE"; }, absl::Seconds(5))) << Trace(id);
  ExpectSound();
}

// Parked by the poll itself, when its time came.
TEST_F(Expiry, ScheduledMailThatIsParkedEnds) {
  Open();
  SuspendDomain("x.test");
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.set_due_micros(Now() + 60'000'000);
  mail.mutable_envelope()->set_expire_micros(Now() + 120'000'000);
  const std::string id = Accept(std::move(mail));
  clock_.Advance(absl::Seconds(61));
  absl::SleepFor(absl::Milliseconds(200));
  clock_.Advance(absl::Seconds(60));
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AE"; }, absl::Seconds(5))) << Trace(id);
  ExpectSound();
}

TEST_F(Expiry, DeliverByIsNeverTriedLate) {
  Open();
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.mutable_envelope()->set_expire_micros(Now() + 60'000'000);
  const std::string id = Accept(std::move(mail));
  clock_.Advance(absl::Minutes(2));
  Worker worker(*shard_, 5);
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AE"; })) << Trace(id);
  EXPECT_EQ(worker.seen(), 0);
  ExpectSound();
}

TEST_F(Expiry, AfterALongOutageMailIsTriedOnce) {
  options_.event_retention = absl::Hours(30 * 24);
  Open();
  const std::string id = Accept(Mail({"a@x.test"}));
  shard_ = nullptr;
  clock_.Advance(absl::Hours(5 * 24 + 3));
  Open();
  Worker worker(*shard_, 5);
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_EQ(Trace(id), "AD");
}

using Restart = ShardTest;

TEST_F(Restart, KeepsAllThatIsQueued) {
  Open();
  {
    Worker worker(*shard_, 1);
    Accept(Mail({"deferred@x.test"}));
    worker.Report(worker.Next(), {Transient()});
    Accept(Mail({"leased@y.test"}, "leased"));
    worker.Next();
    EnqueueRequest later = Mail({"later@z.test"});
    later.set_due_micros(Now() + 60'000'000);
    Accept(std::move(later));
    Accept(Mail({"ready@w.test"}));
    Reopen();
    EXPECT_TRUE(absl::IsUnavailable(worker.closed()));
    worker.Close();
  }
  ExpectSound();
  EXPECT_EQ(Check().deliveries(), 4);
  Worker worker(*shard_, 10);
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 2; }));
  clock_.Advance(absl::Minutes(10));
  EXPECT_TRUE(Eventually([&] { return worker.waiting() == 4; }));
  for (int i = 0; i < 4; ++i) worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
  EXPECT_EQ(Check().deliveries(), 0);
}

TEST_F(Restart, KilledInTheMiddleLosesNothing) {
  Open();
  Worker worker(*shard_, 10);
  for (int i = 0; i < 50; ++i) Accept(Mail({absl::StrCat("u", i, "@x.test")}));
  for (int i = 0; i < 20; ++i) worker.Report(worker.Next(), {Delivered()});
  // What a kill would leave: the files as they are now.
  const std::string copy = options_.data_dir + "-killed";
  std::filesystem::remove_all(copy);
  std::filesystem::copy(options_.data_dir, copy, std::filesystem::copy_options::recursive);
  Options options = options_;
  options.data_dir = copy;
  auto killed = LocalShard::Open(options, clock_);
  ASSERT_TRUE(killed.ok()) << killed.status();
  Worker other(**killed, 100);
  for (int i = 0; i < 30; ++i) other.Report(other.Next(), {Delivered()});
  EXPECT_TRUE(other.NoneComes());
  other.Close();
  std::swap(shard_, *killed);
  ExpectSound();
  std::swap(shard_, *killed);
  std::filesystem::remove_all(copy);
}

TEST_F(Restart, FolderBelongsToOneNameAndOneProcess) {
  Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(LocalShard::Open(options_, clock_).status()));
  shard_ = nullptr;
  options_.name = "q1";
  const absl::Status other = LocalShard::Open(options_, clock_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(other));
  EXPECT_NE(other.message().find("belongs to shard \"q0\""), absl::string_view::npos) << other;
}

TEST_F(Restart, SuspensionSurvives) {
  Open();
  v1::SuspendRequest suspend;
  suspend.set_domain("x.test");
  Await<v1::SuspendResponse>([&](Done<v1::SuspendResponse> done) {
    shard_->Suspend(suspend, std::move(done));
  }).IgnoreError();
  Accept(Mail({"a@x.test"}));
  Reopen();
  Worker worker(*shard_, 5);
  EXPECT_TRUE(worker.NoneComes());
  v1::ResumeRequest resume;
  resume.set_domain("x.test");
  Await<v1::ResumeResponse>([&](Done<v1::ResumeResponse> done) {
    shard_->Resume(resume, std::move(done));
  }).IgnoreError();
  worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
}

TEST_F(Restart, StopRefusesAndCloses) {
  Open();
  Worker worker(*shard_, 5);
  shard_->Stop();
  EXPECT_TRUE(absl::IsUnavailable(worker.closed()));
  EXPECT_TRUE(absl::IsUnavailable(Enqueue(Mail({"a@x.test"})).status()));
  EXPECT_EQ(shard_->NotReady(), "stopping");
}

// A worker between the final dot and the 250 must not lose its verdict: that would be a duplicate.
TEST_F(Restart, StopWaitsForTheLeasesThatAreOut) {
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test"}));
  Accept(Mail({"b@x.test"}));
  const Lease lease = worker.Next();
  std::thread stop([&] { shard_->Stop(absl::Seconds(20)); });
  EXPECT_TRUE(Eventually([&] { return shard_->NotReady() == "stopping"; }));
  EXPECT_TRUE(absl::IsUnavailable(Enqueue(Mail({"a@x.test"})).status()));
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(worker.closings(), 0);
  internal::v1::Verdict verdict;
  verdict.set_lease(lease.id);
  *verdict.add_outcomes() = Delivered();
  worker.stream().Report(std::move(verdict));
  worker.stream().Grant(1);
  stop.join();
  EXPECT_TRUE(absl::IsUnavailable(worker.closed()));
  EXPECT_EQ(worker.seen(), 1);
  Reopen();
  EXPECT_EQ(Trace(id), "AD");
  EXPECT_EQ(Check().deliveries(), 1);
  ExpectSound();
}

TEST_F(Restart, StopWaitsNoLongerThanItsPatience) {
  Open();
  Worker worker(*shard_, 1);
  Accept(Mail({"a@x.test"}));
  worker.Next();
  shard_->Stop(absl::Milliseconds(100));
  EXPECT_TRUE(absl::IsUnavailable(worker.closed()));
}

using Refusal = ShardTest;

TEST_F(Refusal, LowDiskRefusesMailAndGoesOnDelivering) {
  auto free = std::make_shared<std::atomic<std::uint64_t>>(std::uint64_t{2} << 30);
  options_.min_free_disk = std::uint64_t{1} << 30;
  options_.measure_disk = [free]() -> absl::StatusOr<DiskSpace> { return DiskSpace{free->load(), 1 << 20}; };
  Open();
  Worker worker(*shard_, 1);
  Accept(Mail({"a@x.test"}));
  *free = std::uint64_t{512} << 20;
  EXPECT_TRUE(Eventually([&] { return !shard_->NotReady().empty(); }));
  EXPECT_EQ(shard_->NotReady(), "disk: 512MiB free, 1024MiB wanted");
  EXPECT_TRUE(absl::IsResourceExhausted(Enqueue(Mail({"a@x.test"})).status()));
  worker.Report(worker.Next(), {Delivered()});
  *free = std::uint64_t{2} << 30;
  EXPECT_TRUE(Eventually([&] { return shard_->NotReady().empty(); }));
  Accept(Mail({"a@x.test"}));
}

std::uint64_t FilesIn(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    std::error_code gone;
    if (const auto size = entry.file_size(gone); entry.is_regular_file(gone) && !gone) bytes += size;
  }
  return bytes;
}

// Nothing comes in that would make RocksDB compact: what was delivered must give its room back all the same.
TEST_F(Refusal, LowDiskGetsTheRoomOfWhatWasDelivered) {
  auto free = std::make_shared<std::atomic<std::uint64_t>>(std::uint64_t{2} << 30);
  options_.min_free_disk = std::uint64_t{1} << 30;
  options_.measure_disk = [free]() -> absl::StatusOr<DiskSpace> { return DiskSpace{free->load(), 1 << 20}; };
  Open();
  constexpr int kMails = 100;
  std::string body(100'000, '\0');
  for (int i = 0; i < kMails; ++i) {
    RandomBytes(body.data(), body.size());
    Accept(Mail({"a@x.test"}, body));
  }
  *free = 0;
  EXPECT_TRUE(Eventually([&] { return !shard_->NotReady().empty(); }));
  EXPECT_GT(FilesIn(options_.data_dir), kMails * 90'000u);
  Worker worker(*shard_, 1);
  for (int i = 0; i < kMails; ++i) worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(absl::Seconds(10));
    return FilesIn(options_.data_dir) < kMails * 30'000u;
  })) << FilesIn(options_.data_dir);
  ExpectSound();
}

TEST_F(Refusal, BrokenRequestsAreNamed) {
  Open();
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.mutable_envelope()->set_message_id("short");
  EXPECT_TRUE(absl::IsInvalidArgument(Enqueue(mail).status()));
  mail = Mail({"a@x.test"});
  mail.mutable_destinations(0)->set_domain(std::string("x\0y", 3));
  EXPECT_TRUE(absl::IsInvalidArgument(Enqueue(mail).status()));
  mail = Mail({"a@x.test"});
  *mail.add_destinations() = mail.destinations(0);
  EXPECT_TRUE(absl::IsInvalidArgument(Enqueue(mail).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(Enqueue(Mail({})).status()));
}

TEST_F(Refusal, TooMuchInFlightIsRefused) {
  options_.pending_bytes = 1000;
  Open();
  EXPECT_TRUE(absl::IsResourceExhausted(Enqueue(Mail({"a@x.test"}, std::string(2000, 'x'))).status()));
  Accept(Mail({"a@x.test"}));
}

}  // namespace
}  // namespace hikyaku::queue
