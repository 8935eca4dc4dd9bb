// Reports on TLS: what is counted, in the commit of its verdict; and one mail a domain and day, once.
#include "lib/queue/tls_reporter.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/dsn/options.h"
#include "lib/queue/keys.h"
#include "lib/queue/local_shard.h"
#include "lib/queue/rocks_store.h"
#include "lib/queue/tls_tally.h"
#include "lib/tls_report/report.h"
#include "tests/unit/queue/faulty_store.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

using storage::v1::TlsReportRow;
using storage::v1::TlsSession;

constexpr char kMailto[] = "mailto:tls@rua.test";

TlsSession Session(const std::string& result = "", const std::string& host = "") {
  TlsSession session;
  session.add_report_to(kMailto);
  session.set_policy_type(tls_report::kNoPolicy);
  session.set_policy_domain("y.test");
  session.set_result_type(result);
  session.set_receiving_host(host);
  return session;
}

class TlsReports : public ShardTest {
 protected:
  TlsReports() {
    options_.reports.hostname = "mail.ours.test";
    options_.reports.tls = {"tls-reports@ours.test", "Ours", "postmaster@ours.test"};
    At(absl::FromUnixSeconds(20'000 * 86'400) + absl::Hours(12));
  }

  void At(absl::Time time) { clock_.Advance(time - clock_.Now()); }

  // A mail to y.test whose attempt had these sessions.
  void Count(Worker& worker, const std::vector<TlsSession>& sessions) {
    Accept(Mail({"a@y.test"}));
    const Lease lease = worker.Next();
    const int before = worker.recorded();
    internal::v1::Verdict verdict;
    verdict.set_lease(lease.id);
    *verdict.add_outcomes() = Delivered();
    for (const TlsSession& session : sessions) *verdict.add_tls_sessions() = session;
    worker.stream().ReportAndGrant(std::move(verdict), 1);
    ASSERT_TRUE(Eventually([&] { return worker.recorded() > before; }));
  }

  // All rows at rest; the shard is closed for it.
  std::vector<TlsReportRow> Rows() {
    shard_ = nullptr;
    auto store = OpenRocksStore({options_.data_dir + "/queue", 1 << 20, 1 << 20, false});
    EXPECT_TRUE(store.ok()) << store.status();
    std::vector<TlsReportRow> rows;
    const auto cursor = (*store)->Scan(Family::kMeta, keys::kTlsReports, keys::PrefixEnd(keys::kTlsReports));
    for (; cursor->Valid(); cursor->Next()) {
      const auto parts = keys::ParseTlsReport(cursor->key());
      EXPECT_TRUE(parts && parts->domain == "y.test" && parts->day == day_);
      EXPECT_TRUE(rows.emplace_back().ParseFromString(std::string(cursor->value())));
    }
    return rows;
  }

  v1::SendTlsReportsResponse SendNow(const std::string& domain, bool ended = false) {
    v1::SendTlsReportsRequest request;
    request.set_domain(domain);
    request.set_ended_days_only(ended);
    const auto answer = Await<v1::SendTlsReportsResponse>(
        [&](Done<v1::SendTlsReportsResponse> done) { shard_->SendTlsReports(request, std::move(done)); });
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or(v1::SendTlsReportsResponse());
  }

  std::shared_ptr<Faults> UseFaultyStore() {
    auto faults = std::make_shared<Faults>();
    options_.open_store = [faults](const std::string& dir) -> absl::StatusOr<std::unique_ptr<Store>> {
      auto store = OpenRocksStore({dir, 1 << 20, 1 << 20, false});
      if (!store.ok()) return store.status();
      return std::unique_ptr<Store>(std::make_unique<FaultyStore>(*std::move(store), faults));
    };
    return faults;
  }

  void ToDueTime() { At(TlsReporter::DueTime(day_, "y.test", "q0") + absl::Minutes(2)); }

  const std::uint32_t day_ = 20'000;
};

TEST_F(TlsReports, SessionsThatWentAlikeAreOneRow) {
  Open();
  {
    Worker worker(*shard_, 1);
    Count(worker, {Session(), Session(), Session(tls_report::kExpired, "mx1.y.test")});
    Count(worker, {Session()});
    Count(worker, {});
    Count(worker, {Session(tls_report::kExpired, "mx2.y.test")});
  }
  std::multiset<std::uint64_t> counts;
  for (const TlsReportRow& row : Rows()) counts.insert(row.count());
  EXPECT_EQ(counts, (std::multiset<std::uint64_t>{1, 1, 3}));
}

TEST_F(TlsReports, WhatIsNewBeyondTheBoundLosesItsDetails) {
  Open();
  constexpr int kMany = TlsTally::kMaxRows + 50;
  {
    Worker worker(*shard_, 1);
    for (int i = 0; i < kMany; i += 10) {
      std::vector<TlsSession> sessions;
      for (int j = 0; j < 10; ++j) {
        sessions.push_back(Session(tls_report::kNotTrusted, absl::StrCat("mx", i + j, ".y.test")));
      }
      Count(worker, sessions);
    }
    TlsSession huge = Session();
    huge.set_reason(std::string(1 << 20, 'x'));
    Count(worker, {huge, huge});
  }
  const std::vector<TlsReportRow> rows = Rows();
  EXPECT_EQ(rows.size(), TlsTally::kMaxRows + 2u);
  std::uint64_t all = 0, coarse = 0, good = 0;
  for (const TlsReportRow& row : rows) {
    const bool success = row.session().result_type().empty();
    (success ? good : row.session().receiving_host().empty() ? coarse : all) += row.count();
    EXPECT_LT(row.ByteSizeLong(), 200u);
  }
  EXPECT_EQ(all, TlsTally::kMaxRows + 0u);
  EXPECT_EQ(coarse, 50u);
  EXPECT_EQ(good, 2u);
}

TEST_F(TlsReports, OneMailWhenItsTimeHasCome) {
  Open();
  Worker worker(*shard_, 1);
  Count(worker, {Session(), Session(tls_report::kExpired, "mx1.y.test")});
  At(TlsReporter::DueTime(day_, "y.test", "q0") - absl::Minutes(2));
  EXPECT_TRUE(worker.NoneComes(absl::Milliseconds(300)));
  ToDueTime();
  const Lease lease = worker.Next();
  const storage::v1::Delivery& delivery = lease.delivery;
  EXPECT_EQ(delivery.domain(), "rua.test");
  ASSERT_EQ(delivery.recipients_size(), 1);
  EXPECT_EQ(delivery.recipients(0).address(), "tls@rua.test");
  EXPECT_EQ(delivery.recipients(0).notify(), dsn::kNever);
  EXPECT_EQ(delivery.envelope().sender(), "tls-reports@ours.test");
  EXPECT_EQ(delivery.envelope().sender_reports(), storage::v1::SENDER_REPORTS_NOT_ASKED);
  EXPECT_TRUE(delivery.envelope().tls_optional());
  EXPECT_EQ(delivery.envelope().size(), lease.body->size());
  EXPECT_TRUE(absl::StrContains(*lease.body, "From: <tls-reports@ours.test>\r\nTo: <tls@rua.test>\r\n"));
  EXPECT_TRUE(absl::StrContains(*lease.body, "TLS-Report-Domain: y.test\r\nTLS-Report-Submitter: ours.test\r\n"));
  EXPECT_TRUE(absl::StrContains(*lease.body, "ours.test!y.test!1728000000!1728086399!")) << *lease.body;
  worker.Report(lease, {Delivered()});
  clock_.Advance(absl::Hours(24));
  EXPECT_TRUE(worker.NoneComes(absl::Milliseconds(300))) << "sent twice";
  ExpectSound();
  worker.Close();
  EXPECT_TRUE(Rows().empty());
}

TEST_F(TlsReports, SurviveARestartAndAreSentThen) {
  Open();
  {
    Worker worker(*shard_, 1);
    Count(worker, {Session()});
  }
  shard_ = nullptr;
  ToDueTime();
  Open();
  Worker worker(*shard_, 1);
  const Lease lease = worker.Next();
  const std::string id = MessageId::FromBytes(lease.delivery.envelope().message_id())->text();
  worker.Close();
  Reopen();  // The report was queued, and is not made again.
  Worker again(*shard_, 2);
  const Lease second = again.Next();
  EXPECT_EQ(MessageId::FromBytes(second.delivery.envelope().message_id())->text(), id);
  EXPECT_TRUE(again.NoneComes());
  again.Report(second, {Delivered()});
  ExpectSound();
}

TEST_F(TlsReports, ARowThatCannotBeReadKeepsItsCount) {
  const auto faults = UseFaultyStore();
  Open();
  {
    Worker worker(*shard_, 1);
    Count(worker, {Session(), Session()});
    faults->unreadable_tls_rows = true;
    Count(worker, {Session()});
    Count(worker, {Session(), Session()});
    faults->unreadable_tls_rows = false;
    Count(worker, {Session()});
  }
  std::uint64_t sum = 0;
  for (const TlsReportRow& row : Rows()) sum += row.count();
  EXPECT_EQ(sum, 6);
}

TEST_F(TlsReports, ACommitThatFailsSendsItLater) {
  const auto faults = UseFaultyStore();
  Open();
  Worker worker(*shard_, 1);
  Count(worker, {Session()});
  faults->next_write = Faults::kLost;
  ToDueTime();
  ASSERT_TRUE(Eventually([&] { return faults->heals > 0; }));
  for (int i = 0; i < 100 && worker.waiting() == 0; ++i) {
    clock_.Advance(absl::Minutes(1));
    absl::SleepFor(absl::Milliseconds(50));
  }
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  ExpectSound();
}

TEST_F(TlsReports, AddressesOfTwoDomainsShareOneMail) {
  Open();
  Worker worker(*shard_, 3);
  TlsSession session = Session();
  session.add_report_to("ftp://rua.test/v1");
  session.add_report_to("mailto:b@other.test");
  session.add_report_to("mailto:c@rua.test");
  Count(worker, {session});
  ToDueTime();
  const Lease one = worker.Next(), two = worker.Next();
  EXPECT_EQ(one.delivery.recipients_size() + two.delivery.recipients_size(), 3);
  EXPECT_TRUE(one.delivery.envelope().post_type().empty());
  EXPECT_EQ(*one.body, *two.body);
  EXPECT_TRUE(absl::StrContains(*one.body, "To: <tls@rua.test>, <b@other.test>, <c@rua.test>\r\n"));
  worker.Report(one, {Delivered(), Delivered()});
  worker.Report(two, {Delivered(), Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.accepted_total(), 4);
  EXPECT_EQ(check.bodies(), 0);
}

// RFC 8460 §5.4: the same report, packed, to each URL; it waits for 24 hours at most (§5.5), and no mail goes there.
TEST_F(TlsReports, ArePostedToEachUrl) {
  Open();
  Worker worker(*shard_, 3);
  TlsSession session = Session();
  session.add_report_to("https://Rua.test/v1");
  session.add_report_to("https://rua.test:8443/v2?x");
  Count(worker, {session});
  ToDueTime();
  std::map<std::string, Lease> leases;
  for (int i = 0; i < 3; ++i) {
    Lease lease = worker.Next();
    leases[lease.delivery.recipients(0).address()] = std::move(lease);
  }
  const Lease& mail = leases["tls@rua.test"];
  const Lease& one = leases["https://Rua.test/v1"];
  const Lease& two = leases["https://rua.test:8443/v2?x"];
  EXPECT_EQ(mail.delivery.domain(), "rua.test");
  EXPECT_EQ(one.delivery.domain(), "https://rua.test");
  EXPECT_EQ(two.delivery.domain(), "https://rua.test:8443");
  EXPECT_EQ(mail.delivery.envelope().post_type(), "");
  EXPECT_EQ(one.delivery.envelope().post_type(), "application/tlsrpt+gzip");
  EXPECT_EQ(one.delivery.envelope().expire_micros() - one.delivery.envelope().accept_micros(), 24 * 3'600'000'000ll);
  EXPECT_EQ(*one.body, *two.body);
  EXPECT_EQ(one.body->substr(0, 3), "\x1f\x8b\x08");
  EXPECT_EQ(one.delivery.envelope().size(), one.body->size());
  worker.Report(one, {Transient()});
  worker.Report(two, {Permanent()});
  worker.Report(mail, {Delivered()});
  clock_.Advance(absl::Hours(1));
  const Lease again = worker.Next();
  EXPECT_EQ(again.delivery.domain(), "https://rua.test");
  EXPECT_EQ(*again.body, *two.body);
  worker.Report(again, {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  const v1::ShardCheck check = Check();
  EXPECT_EQ(check.problems_size(), 0) << check.DebugString();
  EXPECT_EQ(check.bodies(), 0);
  EXPECT_EQ(check.bounced_total(), 1);
}

TEST_F(TlsReports, SurviveACrashWhileTheyArePosted) {
  Open();
  std::string id;
  {
    Worker worker(*shard_, 1);
    TlsSession session = Session();
    session.set_report_to(0, "https://rua.test/v1");
    Count(worker, {session});
    ToDueTime();
    id = worker.Next().delivery.envelope().message_id();
  }
  Reopen();  // The worker had it, and said nothing.
  Worker again(*shard_, 1);
  const Lease lease = again.Next();
  EXPECT_EQ(lease.delivery.envelope().message_id(), id);
  EXPECT_EQ(lease.delivery.recipients(0).address(), "https://rua.test/v1");
  again.Report(lease, {Delivered()});
  EXPECT_TRUE(again.NoneComes());
  ExpectSound();
}

TEST_F(TlsReports, AreSentNowWhenSomebodyWishes) {
  Open();
  Worker worker(*shard_, 1);
  Count(worker, {Session(), Session()});
  EXPECT_EQ(SendNow("other.test").reports(), 0u);
  EXPECT_EQ(SendNow("y.test", true).reports(), 0u) << "its day is not over";
  EXPECT_EQ(SendNow("y.test").reports(), 1u);
  const Lease first = worker.Next();
  EXPECT_TRUE(absl::StrContains(*first.body, "ours.test!y.test!1728000000!1728043200!")) << "until now\n"
                                                                                         << *first.body;
  worker.Report(first, {Delivered()});
  EXPECT_EQ(SendNow("").reports(), 0u) << "it was sent";
  // What comes after it is told at the end of the day, and by another id.
  Count(worker, {Session()});
  ToDueTime();
  const Lease rest = worker.Next();
  EXPECT_TRUE(absl::StrContains(*rest.body, "ours.test!y.test!1728000000!1728086399!")) << *rest.body;
  const auto subject = [](const Lease& lease) { return lease.body->substr(lease.body->find("Subject:"), 200); };
  EXPECT_NE(subject(first), subject(rest));
  worker.Report(rest, {Delivered()});
  Count(worker, {Session()});
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(SendNow("", true).reports(), 1u) << "yesterday's, before its time";
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  ExpectSound();
}

TEST_F(TlsReports, CannotBeSentNowWithoutAnAddressOfOurs) {
  options_.reports.tls = {};
  Open();
  const auto answer = Await<v1::SendTlsReportsResponse>(
      [&](Done<v1::SendTlsReportsResponse> done) { shard_->SendTlsReports({}, std::move(done)); });
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TlsReports, ThatNobodyCanGetAreForgotten) {
  for (const bool configured : {true, false}) {
    if (!configured) options_.reports.tls = {};
    At(absl::FromUnixSeconds(20'000 * 86'400) + absl::Hours(12));
    Open();
    {
      Worker worker(*shard_, 1);
      TlsSession session = Session();
      if (configured) session.set_report_to(0, "https://user:password@rua.test/v1");
      Count(worker, {session});
      ToDueTime();
      EXPECT_TRUE(worker.NoneComes(absl::Milliseconds(500)));
    }
    EXPECT_TRUE(Rows().empty());
  }
}

TEST(DueTimes, AreSpreadOverFourHours) {
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time due = TlsReporter::DueTime(20'000, absl::StrCat("d", i, ".test"), "q0");
    EXPECT_EQ(due, TlsReporter::DueTime(20'000, absl::StrCat("d", i, ".test"), "q0"));
    first = std::min(first, due);
    last = std::max(last, due);
  }
  const absl::Time midnight = absl::FromUnixSeconds(20'001 * 86'400);
  EXPECT_GE(first, midnight + absl::Minutes(5));
  EXPECT_LT(first, midnight + absl::Minutes(10));
  EXPECT_LT(last, midnight + absl::Hours(4));
  EXPECT_GT(last, midnight + absl::Hours(4) - absl::Minutes(5));
}

TEST(TlsReportKeys, ReadBackAndSortByDay) {
  const std::string hash(16, '\0');
  const std::string key = keys::TlsReportRow(7, "y.test", hash);
  EXPECT_TRUE(absl::StartsWith(key, keys::TlsReportPrefix(7, "y.test")));
  EXPECT_LT(key, keys::TlsReportDay(8));
  EXPECT_EQ(keys::ParseTlsReport(key)->day, 7u);
  EXPECT_EQ(keys::ParseTlsReport(key)->domain, "y.test");
  for (const absl::string_view bad :
       {absl::string_view(""), absl::string_view("tlsrpt/"), absl::string_view(key).substr(0, key.size() - 1),
        absl::string_view(key).substr(1)}) {
    EXPECT_FALSE(keys::ParseTlsReport(bad).has_value());
  }
  EXPECT_FALSE(keys::ParseTlsReport(keys::TlsReportRow(7, "", hash)).has_value());
}

}  // namespace
}  // namespace hikyaku::queue
