// Reports to senders: what is told, once, in the commit of what it tells.
#include "lib/queue/reports.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "lib/dsn/options.h"
#include "lib/queue/local_shard.h"
#include "lib/queue/rocks_store.h"
#include "tests/unit/queue/faulty_store.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

class Reports : public ShardTest {
 protected:
  Reports() {
    options_.reports.hostname = "mail.ours.test";
    options_.reports.from = "MAILER-DAEMON@mail.ours.test";
  }

  // Mail of a sender at x.org who is told, to recipients at one domain.
  EnqueueRequest Told(const std::vector<std::string>& recipients, std::uint32_t notify = 0) {
    EnqueueRequest request = Mail(recipients);
    request.mutable_envelope()->set_sender("sender@x.org");
    request.mutable_envelope()->set_sender_reports(storage::v1::SENDER_REPORTS_WANTED);
    if (notify == 0) return request;
    for (auto& destination : *request.mutable_destinations()) {
      for (int i = 0; i < destination.recipients_size(); ++i) destination.add_options()->set_notify(notify);
    }
    return request;
  }

  // The report that one of the message's events names; empty: none does.
  std::string ReportOf(const std::string& id) {
    const auto message = Message(id);
    if (!message.ok()) return "?";
    std::string report;
    for (const v1::Event& event : message->events()) {
      if (event.report_id().empty()) continue;
      EXPECT_TRUE(report.empty() || report == event.report_id()) << "two reports";
      report = event.report_id();
    }
    return report;
  }

  // Takes the report's lease and gives its body.
  std::string Take(Worker& worker, const std::string& report) {
    lease_ = worker.Next();
    EXPECT_EQ(MessageId::FromBytes(lease_.delivery.envelope().message_id())->text(), report);
    EXPECT_EQ(lease_.delivery.envelope().sender(), "");
    EXPECT_EQ(lease_.delivery.recipients(0).address(), "sender@x.org");
    return *lease_.body;
  }

  Lease lease_;
};

TEST_F(Reports, AFailureIsMailedToTheSenderAndEndsThere) {
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Told({"a@y.test"}));
  worker.Report(worker.Next(), {Permanent()});
  const std::string report = ReportOf(id);
  ASSERT_FALSE(report.empty());
  EXPECT_EQ(Trace(report), "A");
  EXPECT_EQ(Message(report)->events(0).report_of(), id);
  const std::string body = Take(worker, report);
  EXPECT_TRUE(absl::StrContains(body, "Final-Recipient: rfc822; a@y.test\r\nAction: failed\r\nStatus: 5.1.1\r\n"))
      << body;
  EXPECT_TRUE(absl::StrContains(body, "\r\n\r\nhello\r\n")) << "without the original, whose body went in that commit";
  // BATTERY B04: no report of a report.
  worker.Report(lease_, {Permanent()});
  EXPECT_EQ(Trace(report), "AB");
  EXPECT_EQ(ReportOf(report), "");
  EXPECT_TRUE(worker.NoneComes());
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.accepted_total(), 2);
  EXPECT_EQ(check.bounced_total(), 2);
  EXPECT_EQ(check.bodies(), 0);
}

// RFC 8689 §5.
TEST_F(Reports, OfMailThatRequiresTlsReturnItsHeaderAndAskForTheSame) {
  Open();
  Worker worker(*shard_, 1);
  EnqueueRequest request = Told({"a@y.test"});
  request.mutable_envelope()->set_require_tls(true);
  request.mutable_envelope()->set_returned_content(storage::v1::RETURNED_CONTENT_FULL);
  const std::string id = Accept(request);
  worker.Report(worker.Next(), {Permanent()});
  const std::string body = Take(worker, ReportOf(id));
  EXPECT_TRUE(lease_.delivery.envelope().require_tls());
  EXPECT_TRUE(absl::StrContains(body, "\r\nSubject: x\r\n"));
  EXPECT_FALSE(absl::StrContains(body, "hello"));
}

// BATTERY D01, D02.
TEST_F(Reports, ListThoseWhoFailedTogetherAndNobodyElse) {
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Told({"a@y.test", "b@y.test", "c@y.test", "d@y.test"}));
  worker.Report(worker.Next(), {Delivered(), Transient(), Permanent(), Permanent()});
  const std::string body = Take(worker, ReportOf(id));
  EXPECT_TRUE(absl::StrContains(body, "rfc822; c@y.test"));
  EXPECT_TRUE(absl::StrContains(body, "rfc822; d@y.test"));
  EXPECT_FALSE(absl::StrContains(body, "a@y.test"));
  EXPECT_FALSE(absl::StrContains(body, "b@y.test"));
  worker.Report(lease_, {Delivered()});
  clock_.Advance(absl::Minutes(10));
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  ExpectSound();
}

TEST_F(Reports, AreNotMadeForWhoMayNotOrDidNotAsk) {
  Open();
  Worker worker(*shard_, 1);
  EnqueueRequest null = Told({"a@y.test"});
  null.mutable_envelope()->clear_sender();
  EnqueueRequest denied = Told({"a@y.test"});
  denied.mutable_envelope()->set_sender_reports(storage::v1::SENDER_REPORTS_DENIED);
  for (const EnqueueRequest& request : {null, denied, Mail({"a@y.test"}), Told({"a@y.test"}, dsn::kNever),
                                        Told({"a@y.test"}, dsn::kSuccess), Told({"a@y.test"}, dsn::kDelay)}) {
    const std::string id = Accept(request);
    worker.Report(worker.Next(), {Permanent()});
    EXPECT_EQ(Trace(id), "AB");
    EXPECT_EQ(ReportOf(id), "");
  }
  EXPECT_TRUE(worker.NoneComes());
}

TEST_F(Reports, ADelayIsToldOnce) {
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Told({"a@y.test"}));
  worker.Report(worker.Next(), {Transient()});
  EXPECT_EQ(ReportOf(id), "");
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Hours(5));
    Lease lease = worker.Next();
    if (lease.delivery.envelope().sender().empty()) {
      EXPECT_TRUE(absl::StrContains(*lease.body, "Action: delayed\r\n"));
      EXPECT_TRUE(absl::StrContains(*lease.body, "Will-Retry-Until: "));
      worker.Report(lease, {Delivered()});
      lease = worker.Next();
    }
    worker.Report(lease, {Transient()});
  }
  const std::string report = ReportOf(id);  // Expects one.
  EXPECT_FALSE(report.empty());
  ExpectSound();
}

TEST_F(Reports, OfSuccessOnlyWhenAskedAndWhenTheHostWillNot) {
  Open();
  Worker worker(*shard_, 1);
  const std::string plain = Accept(Told({"a@y.test"}));
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_EQ(ReportOf(plain), "");
  v1::Outcome passed = Delivered();
  passed.set_reports_passed_on(true);
  const std::string passed_on = Accept(Told({"a@y.test"}, dsn::kSuccess));
  worker.Report(worker.Next(), {passed});
  EXPECT_EQ(ReportOf(passed_on), "");
  const std::string asked = Accept(Told({"a@y.test"}, dsn::kSuccess));
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(absl::StrContains(Take(worker, ReportOf(asked)), "Action: relayed\r\n"));
}

TEST_F(Reports, OfMailThatEndedWhereItWasDeliveredSaySo) {
  Open();
  Worker worker(*shard_, 1);
  v1::Outcome final_delivery = Delivered();
  final_delivery.set_final_delivery(true);
  const std::string stored = Accept(Told({"a@y.test", "b@y.test"}, dsn::kSuccess));
  worker.Report(worker.Next(), {final_delivery, final_delivery});
  const std::string body = Take(worker, ReportOf(stored));
  worker.Report(lease_, {Delivered()});
  EXPECT_TRUE(absl::StrContains(body, "Action: delivered\r\n")) << body;
  EXPECT_TRUE(absl::StrContains(body, "was delivered to the recipients")) << body;
  EXPECT_FALSE(absl::StrContains(body, "relayed"));
  const std::string mixed = Accept(Told({"a@y.test", "b@y.test"}, dsn::kSuccess));
  worker.Report(worker.Next(), {final_delivery, Delivered()});
  EXPECT_FALSE(absl::StrContains(Take(worker, ReportOf(mixed)), "Action: delivered\r\n")) << "not more than is known";
}

TEST_F(Reports, OfMailThatExpiresKeepTheLastError) {
  options_.lifetime = absl::Hours(1);
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Told({"a@y.test"}, dsn::kFailure));
  worker.Report(worker.Next(), {Transient("451 4.7.1 come later")}, Now() + 30 * 3'600'000'000ll);
  clock_.Advance(absl::Minutes(61));
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AdE"; })) << Trace(id);
  const std::string body = Take(worker, ReportOf(id));
  EXPECT_TRUE(absl::StrContains(body, "Status: 4.4.7\r\n"));
  EXPECT_TRUE(absl::StrContains(body, "come later"));
  EXPECT_TRUE(absl::StrContains(body, "hello\r\n"));
  ExpectSound();
}

// A report of a verdict and one of the expiry that follows it are two.
TEST_F(Reports, OfAVerdictAndOfTheExpiryAfterItDiffer) {
  options_.lifetime = absl::Hours(1);
  Open();
  Worker worker(*shard_, 1);
  Accept(Told({"a@y.test", "b@y.test"}, dsn::kFailure));
  worker.Report(worker.Next(), {Permanent(), Transient()}, Now() + 30 * 3'600'000'000ll);
  const Lease first = worker.Next();
  worker.Report(first, {Delivered()});
  clock_.Advance(absl::Minutes(61));
  const Lease second = worker.Next();
  EXPECT_TRUE(absl::StrContains(*second.body, "b@y.test"));
  EXPECT_NE(first.delivery.envelope().message_id(), second.delivery.envelope().message_id());
  worker.Report(second, {Delivered()});
  ExpectSound();
}

TEST_F(Reports, OfAStormOfExpiriesComeInSeveralCommits) {
  options_.lifetime = absl::Hours(1);
  options_.reports.headers_only_over = 1 << 20;
  Open();
  Worker worker(*shard_, 0);
  constexpr int kMails = 60;
  for (int i = 0; i < kMails; ++i) {
    EnqueueRequest request = Told({"a@y.test"});
    request.set_body("Subject: x\r\n\r\n" + std::string(200'000, 'x') + "\r\n");
    request.mutable_envelope()->set_expire_micros(Now() + 1'000'000);  // The client's own end.
    Accept(std::move(request));
  }
  clock_.Advance(absl::Hours(2));
  EXPECT_TRUE(Eventually([&] { return Check().expired_total() == kMails; }));
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.accepted_total(), 2 * kMails);
  EXPECT_EQ(check.deliveries(), kMails);
}

// The commit that ends the recipient brings the report, or neither is there.
TEST_F(Reports, AreInTheCommitOfWhatTheyTell) {
  const auto faults = std::make_shared<Faults>();
  options_.open_store = [faults](const std::string& dir) -> absl::StatusOr<std::unique_ptr<Store>> {
    auto store = OpenRocksStore({dir, 1 << 20, 8 << 20, false});
    if (!store.ok()) return store.status();
    return std::make_unique<FaultyStore>(*std::move(store), faults);
  };
  Open();
  Worker worker(*shard_, 1);
  const std::string id = Accept(Told({"a@y.test"}));
  const Lease lease = worker.Next();
  faults->next_write = Faults::kLost;
  worker.Report(lease, {Permanent()});  // Repeated until it is on disk.
  EXPECT_EQ(Trace(id), "AB");
  const std::string report = ReportOf(id);
  EXPECT_EQ(Trace(report), "A");
  Take(worker, report);
  EXPECT_TRUE(worker.NoneComes());
  ExpectSound();
}

TEST_F(Reports, SurviveARestart) {
  Open();
  std::string report;
  {
    Worker worker(*shard_, 1);
    const std::string id = Accept(Told({"a@y.test"}));
    internal::v1::Verdict verdict;
    worker.Report(worker.Next(), {Permanent()});
    report = ReportOf(id);
  }
  Reopen();
  Worker worker(*shard_, 1);
  EXPECT_TRUE(absl::StrContains(Take(worker, report), "Action: failed"));
}

}  // namespace
}  // namespace hikyaku::queue
