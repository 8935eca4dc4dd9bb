#include "lib/queue/local_shard.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

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

// Whichever way it ends: the status says that our own rules stood in the way, and not what a host said in their words.
TEST_F(Expiry, VerdictAfterTheEndKeepsTheStatusOfSecurity) {
  options_.lifetime = absl::Hours(1);
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Mail({"a@x.test", "b@x.test"}));
  const Lease lease = worker.Next();
  clock_.Advance(absl::Hours(2));
  worker.stream().Renew();
  v1::Outcome ours = Transient("the policy is require by delivery.tls, but the host does not offer TLS"), theirs = ours;
  ours.set_smtp_code(0);
  for (v1::Outcome* outcome : {&ours, &theirs}) outcome->set_enhanced_code("4.7.4");
  worker.Report(lease, {ours, theirs});
  ASSERT_EQ(Trace(id), "AEE");
  EXPECT_EQ(Message(id)->events(1).outcome().enhanced_code(), "5.7.4");
  EXPECT_EQ(Message(id)->events(2).outcome().enhanced_code(), "4.4.7");
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

}  // namespace
}  // namespace hikyaku::queue
