// What the shard does when the disk fails, and what its checker sees.
#include <algorithm>
#include <fstream>
#include <map>
#include <thread>

#include "lib/queue/keys.h"
#include "lib/queue/metrics.h"
#include "lib/queue/rocks_store.h"
#include "tests/unit/queue/faulty_store.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

class FaultTest : public ShardTest {
 protected:
  FaultTest() {
    options_.open_store = [faults = faults_](const std::string& dir) -> absl::StatusOr<std::unique_ptr<Store>> {
      auto store = OpenRocksStore({dir, 1 << 20, 8 << 20, false});
      if (!store.ok()) return store.status();
      return std::make_unique<FaultyStore>(*std::move(store), faults);
    };
    Open();
  }
  ~FaultTest() override {
    faults_->broken = faults_->unreadable = false;
    faults_->hold_bodies = faults_->hold_writes = faults_->hold_snapshots = false;
  }

  const std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

TEST_F(FaultTest, FailedCommitIsNeverAcknowledged) {
  faults_->next_write = Faults::kLost;
  EnqueueRequest mail = Mail({"a@x.test"});
  EXPECT_TRUE(absl::IsDeadlineExceeded(Enqueue(mail).status()));
  EXPECT_TRUE(Eventually([&] { return shard_->NotReady().empty(); }));
  EXPECT_EQ(faults_->heals, 1);
  EXPECT_EQ(Check().deliveries(), 0);
  mail.set_maybe_repeat(true);
  Accept(mail);
  EXPECT_EQ(Check().deliveries(), 1);
  ExpectSound();
}

// Found by the simulation: what could not be looked at was written a second time.
TEST_F(FaultTest, RepeatThatCannotLookWritesNothing) {
  EnqueueRequest mail = Mail({"a@x.test"});
  Accept(mail);
  mail.set_maybe_repeat(true);
  mail.mutable_idempotency()->set_key("k");
  mail.mutable_idempotency()->set_response("r");
  mail.mutable_idempotency()->set_expire_micros(Now() + 86'400'000'000);
  faults_->unreadable = true;
  EXPECT_TRUE(absl::IsUnavailable(Enqueue(mail).status()));
  faults_->unreadable = false;
  const auto again = Enqueue(mail);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->replayed_response(), "");  // The key's record was not finished by the try that failed.
  EXPECT_EQ(Check().deliveries(), 1);
  ExpectSound();
}

TEST_F(FaultTest, CommitThatSurvivedItsErrorIsFoundAgain) {
  Worker worker(*shard_, 5);
  faults_->next_write = Faults::kKept;
  EnqueueRequest mail = Mail({"a@x.test"});
  EXPECT_TRUE(absl::IsDeadlineExceeded(Enqueue(mail).status()));
  mail.set_maybe_repeat(true);
  EXPECT_TRUE(Eventually([&] { return shard_->NotReady().empty(); }));
  Accept(mail);
  EXPECT_EQ(Check().deliveries(), 1);
  worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
}

TEST_F(FaultTest, GateIsClosedUntilTheStoreIsBack) {
  faults_->broken = true;
  faults_->next_write = Faults::kLost;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Enqueue(Mail({"a@x.test"})).status()));
  EXPECT_TRUE(absl::IsUnavailable(Enqueue(Mail({"a@x.test"})).status()));
  EXPECT_EQ(shard_->NotReady(), "store: a write failed");
  faults_->broken = false;
  EXPECT_TRUE(Eventually([&] { return shard_->NotReady().empty(); }));
  Accept(Mail({"a@x.test"}));
  ExpectSound();
}

TEST_F(FaultTest, VerdictIsWrittenAgain) {
  for (const Faults::Kind kind : {Faults::kLost, Faults::kKept}) {
    Worker worker(*shard_, 5);
    const std::string id = Accept(Mail({"a@x.test", "b@x.test"}));
    const Lease lease = worker.Next();
    faults_->next_write = kind;
    worker.Report(lease, {Delivered(), Transient()});
    EXPECT_EQ(Trace(id), "ADd");
    EXPECT_TRUE(worker.NoneComes());
    ExpectSound();
  }
  EXPECT_EQ(Check().delivered_total(), 2);
}

TEST_F(FaultTest, ExpiryAndPurgeAreUndoneByAFailedCommit) {
  const std::string id = Accept(Mail({"a@x.test"}));
  faults_->next_write = Faults::kLost;
  v1::PurgeRequest purge;
  purge.set_domain("x.test");
  const auto failed =
      Await<v1::PurgeResponse>([&](Done<v1::PurgeResponse> done) { shard_->Purge(purge, std::move(done)); });
  EXPECT_FALSE(failed.ok());
  Worker worker(*shard_, 5);
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_EQ(Trace(id), "AD");
  ExpectSound();
}

TEST_F(FaultTest, CountersAreReadUntilTheyCanBe) {
  faults_->lost_counters = 1;
  faults_->next_write = Faults::kKept;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Enqueue(Mail({"a@x.test"})).status()));
  EXPECT_TRUE(Eventually([&] { return shard_->NotReady().empty(); }));
  Accept(Mail({"a@x.test"}));
  EXPECT_EQ(Check().accepted_total(), 2);
  ExpectSound();
}

TEST_F(FaultTest, MailThatCannotBeReadAtItsEndIsKeptAndEndsLater) {
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.mutable_envelope()->set_expire_micros(Now() + 60'000'000);
  const std::string ready = Accept(mail);
  EnqueueRequest later = Mail({"a@y.test"});
  later.set_due_micros(Now() + 30'000'000);
  later.mutable_envelope()->set_expire_micros(Now() + 60'000'000);
  const std::string scheduled = Accept(later);
  faults_->unreadable = true;
  clock_.Advance(absl::Minutes(2));
  absl::SleepFor(absl::Milliseconds(1500));
  faults_->unreadable = false;
  ExpectSound();
  EXPECT_EQ(Check().deliveries(), 2);
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(absl::Seconds(1));
    return Trace(ready) == "AE" && Trace(scheduled) == "AE";
  })) << Trace(ready)
      << Trace(scheduled);
  ExpectSound();
}

TEST_F(FaultTest, NothingIsLeasedOrPutOffWhileTheStoreIsBroken) {
  options_.hot_bodies = 0;
  Reopen();
  Accept(Mail({"a@x.test"}));
  faults_->broken = faults_->unreadable = true;
  faults_->next_write = Faults::kLost;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Enqueue(Mail({"a@x.test"})).status()));
  Worker worker(*shard_, 5);
  EXPECT_TRUE(worker.NoneComes());
  faults_->broken = faults_->unreadable = false;
  worker.Report(worker.Next(), {Delivered()});  // At once, not after a retry's delay.
  ExpectSound();
}

TEST_F(FaultTest, MailThatCannotBeReadIsPutOff) {
  options_.hot_bodies = 0;
  Reopen();
  Accept(Mail({"a@x.test"}));
  faults_->unreadable = true;
  Worker worker(*shard_, 5);
  EXPECT_TRUE(worker.NoneComes());
  ExpectSound();
  faults_->unreadable = false;
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(absl::Seconds(1));
    worker.stream().Renew();
    return worker.waiting() > 0;
  }));
  worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
}

// A lease that the worker never heard of costs it nothing.
TEST_F(FaultTest, LeaseTakenBackBeforeItsBodyWasReadGivesTheCreditBack) {
  options_.hot_bodies = 0;
  Reopen();
  Worker worker(*shard_, 1);
  faults_->hold_bodies = true;
  Accept(Mail({"a@x.test"}));
  ASSERT_TRUE(Eventually([&] { return faults_->held_bodies > 0; }));
  v1::PurgeRequest purge;
  purge.set_domain("x.test");
  EXPECT_TRUE(
      Await<v1::PurgeResponse>([&](Done<v1::PurgeResponse> done) { shard_->Purge(purge, std::move(done)); }).ok());
  faults_->hold_bodies = false;
  Accept(Mail({"a@y.test"}));
  worker.Report(worker.Next(absl::Seconds(5)), {Delivered()});
  EXPECT_EQ(worker.revoked(), 0);
}

// The second sweep must not touch what the first has in hand, however its commit ends.
TEST_F(FaultTest, TwoSweepsOfTheSameMailAreOne) {
  EnqueueRequest mail = Mail({"a@x.test"});
  mail.mutable_envelope()->set_expire_micros(Now() + 60'000'000);
  const std::string id = Accept(std::move(mail));
  SuspendDomain("x.test");
  faults_->hold_writes = true;
  faults_->next_write = Faults::kLost;
  clock_.Advance(absl::Minutes(2));
  ASSERT_TRUE(Eventually([&] { return faults_->held_writes > 0; }));
  absl::SleepFor(absl::Milliseconds(2500));
  faults_->hold_writes = false;
  EXPECT_TRUE(Eventually([&] { return Trace(id) == "AE"; })) << Trace(id);
  v1::ResumeRequest resume;
  resume.set_domain("x.test");
  Await<v1::ResumeResponse>([&](Done<v1::ResumeResponse> done) {
    shard_->Resume(resume, std::move(done));
  }).IgnoreError();
  Worker worker(*shard_, 5);
  Accept(Mail({"b@x.test"}));
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(worker.NoneComes());
  EXPECT_EQ(Check().expired_total(), 1);
  ExpectSound();
}

TEST_F(FaultTest, StopWhileBrokenEnds) {
  Worker worker(*shard_, 5);
  Accept(Mail({"a@x.test"}));
  const Lease lease = worker.Next();
  faults_->broken = true;
  faults_->next_write = Faults::kLost;
  internal::v1::Verdict verdict;
  verdict.set_lease(lease.id);
  *verdict.add_outcomes() = Delivered();
  worker.stream().Report(std::move(verdict));
  EXPECT_TRUE(Eventually([&] { return faults_->heals > 0; }));
  shard_->Stop();
}

// Opens the closed store, changes it, and gives what the offline checker says then.
class CheckerTest : public ShardTest {
 protected:
  CheckerTest() {
    Open();
    id_ = std::string(MessageId::FromText(Accept(Mail({"a@x.test"})))->bytes());
    key_ = keys::Delivery(id_, "x.test");
    due_ = keys::Due(Now(), key_);
    shard_ = nullptr;
    EXPECT_EQ(Problems(), "");
  }

  void Damage(const std::function<void(Store&, Batch&)>& change) {
    auto store = OpenRocksStore({options_.data_dir + "/queue", 1 << 20, 8 << 20, false});
    ASSERT_TRUE(store.ok()) << store.status();
    const auto batch = (*store)->NewBatch();
    change(**store, *batch);
    ASSERT_TRUE((*store)->Write(*batch).ok());
  }
  std::string Problems() {
    const auto check = CheckStore(options_.data_dir);
    if (!check.ok()) return std::string(check.status().message());
    std::string problems;
    for (const std::string& problem : check->problems()) absl::StrAppend(&problems, problem, "\n");
    return problems;
  }

  std::string id_, key_, due_;
};

TEST_F(CheckerTest, SeesABodyWithoutOwner) {
  Damage([&](Store&, Batch& batch) { batch.Put(Family::kBody, keys::Body(std::string(16, '\x01'), 7), "lost"); });
  EXPECT_NE(Problems().find("body without a delivery"), std::string::npos) << Problems();
}
TEST_F(CheckerTest, SeesASecondBodyOfAMessage) {
  Damage([&](Store&, Batch& batch) { batch.Put(Family::kBody, keys::Body(id_, 7), "lost"); });
  EXPECT_NE(Problems().find("body without a delivery"), std::string::npos) << Problems();
}
TEST_F(CheckerTest, SeesADeliveryWithoutDeadline) {
  Damage([&](Store&, Batch& batch) { batch.Delete(Family::kDue, due_); });
  EXPECT_NE(Problems().find("delivery without a next deadline"), std::string::npos) << Problems();
}
TEST_F(CheckerTest, SeesADeadlineWithoutDelivery) {
  Damage([&](Store&, Batch& batch) {
    batch.Put(Family::kDue, keys::Due(1, keys::Delivery(std::string(16, 'z'), "y")), "");
  });
  EXPECT_NE(Problems().find("due entry without a delivery"), std::string::npos) << Problems();
}
TEST_F(CheckerTest, SeesTwoDeadlinesOfOneDelivery) {
  Damage([&](Store&, Batch& batch) { batch.Put(Family::kDue, keys::Due(1, key_), ""); });
  EXPECT_NE(Problems().find("2 due entries for 1 deliveries"), std::string::npos) << Problems();
}
TEST_F(CheckerTest, SeesAMissingBodyAndALostDelivery) {
  Damage([&](Store& store, Batch& batch) {
    const auto bodies = store.Scan(Family::kBody, "", "");
    batch.Delete(Family::kBody, bodies->key());
  });
  EXPECT_NE(Problems().find("delivery without its body"), std::string::npos) << Problems();
  Damage([&](Store&, Batch& batch) {
    batch.Delete(Family::kDelivery, key_);
    batch.Delete(Family::kDue, due_);
  });
  EXPECT_NE(Problems().find("counters are off"), std::string::npos) << Problems();
}
TEST_F(CheckerTest, SeesAParkedDeliveryWithoutExpiry) {
  Damage([&](Store&, Batch& batch) {
    batch.Delete(Family::kDue, due_);
    batch.Put(Family::kParked, keys::Parked("x.test", 1, "default", Now(), id_), "");
  });
  EXPECT_NE(Problems().find("parked delivery without its expiry"), std::string::npos) << Problems();
}

TEST_F(CheckerTest, ServerGoesOnWithDamageThatItMeets) {
  Damage([&](Store&, Batch& batch) {
    batch.Put(Family::kDue, keys::Due(1, keys::Delivery(std::string(16, 'z'), "y.test")), "");  // No delivery.
    batch.Delete(Family::kBody, "");
  });
  Open();
  Worker worker(*shard_, 5);
  worker.Report(worker.Next(), {Delivered()});
}

// The write-ahead log: a torn tail is a crash, anything else is damage.
class LogTest : public ShardTest {
 protected:
  // The logs, oldest first, of a shard that was killed with `mails` in it.
  std::vector<std::filesystem::path> KilledWith(int mails) {
    OpenAndSettle();
    for (int i = 0; i < mails; ++i) Accept(Mail({"a@x.test"}, std::string(3000, 'b')));
    return Killed();
  }

  // Opens, and waits for the commit of the first round of retention: it comes within a second or so, and would stand in
  // the log behind a mail that is to be the last.
  void OpenAndSettle() {
    const metrics::Counter& commits = Metrics(options_.name).commits;
    const double before = commits.Value();
    Open();
    EXPECT_TRUE(Eventually([&] { return commits.Value() > before; }));
  }

  // The same with what is in it now.
  std::vector<std::filesystem::path> Killed() {
    const std::string copy = options_.data_dir + "-killed";
    EXPECT_TRUE(Eventually([&] {  // Again if a file came, went or grew meanwhile: a kill has one moment for all.
      std::error_code error;
      std::filesystem::remove_all(copy);
      const auto before = Sizes(options_.data_dir);
      std::filesystem::copy(options_.data_dir, copy, std::filesystem::copy_options::recursive, error);
      return !error && Sizes(options_.data_dir) == before;
    }));
    shard_ = nullptr;
    options_.data_dir = copy;
    std::vector<std::filesystem::path> logs;
    for (const auto& entry : std::filesystem::directory_iterator(copy + "/queue")) {
      if (entry.path().extension() == ".log") logs.push_back(entry.path());
    }
    std::sort(logs.begin(), logs.end());
    return logs;
  }

  static std::map<std::string, std::uintmax_t> Sizes(const std::string& folder) {
    std::map<std::string, std::uintmax_t> sizes;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      std::error_code gone;
      if (entry.is_regular_file(gone)) sizes[entry.path().string()] = entry.file_size(gone);
    }
    return sizes;
  }

  static void Zero(const std::filesystem::path& path, int from_end, int count) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-from_end, std::ios::end);
    file << std::string(count, '\0');
  }
};

TEST_F(LogTest, DamageInTheMiddleStopsTheStart) {
  const std::filesystem::path log = KilledWith(40).back();
  {
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(log) / 2));
    file.write("\xde\xad\xbe\xef", 4);
  }
  const absl::Status status = LocalShard::Open(options_, clock_).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("is damaged, and starting would lose accepted mail"), absl::string_view::npos);
}

// What a power cut kept from the disk of the last record, which was never acknowledged.
TEST_F(LogTest, PagesOfZerosInTheLastRecordAreATornTail) {
  std::uint64_t whole = 0;
  OpenAndSettle();
  for (const int pages : {1, 2, 8, 14}) {
    Accept(Mail({"whole@x.test"}));
    Accept(Mail({"torn@x.test"}, std::string(70'000, 'b')));
    Zero(Killed().back(), 60'000, pages * 4096);
    EXPECT_EQ(CheckStore(options_.data_dir)->deliveries(), ++whole) << "read-only";
    OpenAndSettle();
    EXPECT_EQ(Check().deliveries(), whole);
    ExpectSound();
  }
}

TEST_F(LogTest, AnEndOfZerosIsATornTail) {
  Zero(KilledWith(40).back(), 3000, 3000);
  Open();
  EXPECT_EQ(Check().deliveries(), 39);
  ExpectSound();
}

TEST_F(LogTest, ZerosBeforeAWholeCommitStopTheStart) {
  Zero(KilledWith(40).back(), 16'000, 4096);
  const absl::Status status = LocalShard::Open(options_, clock_).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.message().find("with whole commits after the damage"), absl::string_view::npos) << status;
}

TEST_F(LogTest, DamageInAnOlderLogStopsTheStart) {
  for (const bool newest_torn : {false, true}) {
    const std::vector<std::filesystem::path> logs = KilledWith(1000);
    ASSERT_GT(logs.size(), 1);
    Zero(logs.front(), 2000, 2000);
    if (newest_torn) Zero(logs.back(), 2000, 1000);
    EXPECT_TRUE(absl::IsDataLoss(LocalShard::Open(options_, clock_).status()));
    std::filesystem::remove_all(options_.data_dir);
  }
}

TEST_F(LogTest, MissingOlderLogStopsTheStart) {
  const std::vector<std::filesystem::path> logs = KilledWith(1000);
  ASSERT_GT(logs.size(), 1);
  std::filesystem::remove(logs.front());
  const absl::Status status = LocalShard::Open(options_, clock_).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

TEST_F(LogTest, TornTailIsCutOff) {
  const std::filesystem::path log = KilledWith(40).back();
  std::filesystem::resize_file(log, std::filesystem::file_size(log) - 100);
  Open();
  EXPECT_EQ(Check().deliveries(), 39);
  ExpectSound();
}

TEST_F(FaultTest, CheckThatTakesLongHoldsUpNoQuestion) {
  const std::string id = Accept(Mail({"a@x.test"}));
  faults_->hold_snapshots = true;
  std::promise<void> checked;
  shard_->CheckQueue([&](absl::StatusOr<v1::CheckQueueResponse> answer) {
    EXPECT_TRUE(answer.ok()) << answer.status();
    checked.set_value();
  });
  ASSERT_TRUE(Eventually([&] { return faults_->held_snapshots == 1; }));
  const auto listed = Await<v1::ListDeliveriesResponse>(
      [&](Done<v1::ListDeliveriesResponse> done) { shard_->ListDeliveries({}, std::move(done)); });
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_EQ(listed->deliveries_size(), 1);
  faults_->hold_snapshots = false;
  checked.get_future().wait();
}

TEST_F(FaultTest, CheckIsCutShortByAStop) {
  Accept(Mail({"a@x.test"}));
  Worker worker(*shard_, 0);
  faults_->hold_snapshots = true;
  std::promise<absl::Status> checked;
  shard_->CheckQueue([&](absl::StatusOr<v1::CheckQueueResponse> answer) { checked.set_value(answer.status()); });
  ASSERT_TRUE(Eventually([&] { return faults_->held_snapshots == 1; }));
  std::thread stopper([&] { shard_->Stop(); });
  EXPECT_TRUE(Eventually([&] { return worker.closings() == 1; }));  // The stop is under way.
  faults_->hold_snapshots = false;
  stopper.join();
  EXPECT_TRUE(absl::IsUnavailable(checked.get_future().get()));
}

}  // namespace
}  // namespace hikyaku::queue
