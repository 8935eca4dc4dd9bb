#include <filesystem>
#include <thread>

#include "lib/base/random.h"
#include "lib/queue/local_shard.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

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
