// A purge meets mail that a worker is sending: docs/operations.md says what it promises of that.
#include <atomic>
#include <memory>
#include <string>

#include "lib/queue/rocks_store.h"
#include "tests/unit/queue/faulty_store.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

// A purge of mail that a worker is sending, whose commit waits until the test lets it go.
class PurgeUnderWay : public ShardTest {
 protected:
  PurgeUnderWay() {
    options_.hot_bodies = 0;
    options_.open_store = [faults = faults_](const std::string& dir) -> absl::StatusOr<std::unique_ptr<Store>> {
      auto store = OpenRocksStore({dir, 1 << 20, 8 << 20, false});
      if (!store.ok()) return store.status();
      return std::make_unique<FaultyStore>(*std::move(store), faults);
    };
    Open();
    id_ = Accept(Mail({"a@x.test"}));
    worker_ = std::make_unique<Worker>(*shard_, 5);
    lease_ = worker_->Next();
  }
  ~PurgeUnderWay() override {
    faults_->hold_writes = false;
    worker_ = nullptr;
  }

  void Begin(Faults::Kind kind) {
    faults_->hold_writes = true;
    faults_->next_write = kind;
    v1::PurgeRequest request;
    request.set_domain("x.test");
    shard_->Purge(request, [this](absl::StatusOr<v1::PurgeResponse> answer) {
      answer_ = answer.ok() ? std::to_string(answer->purged()) : "failed";
      answered_ = true;
    });
    ASSERT_TRUE(Eventually([&] { return faults_->held_writes > 0; }));
  }
  std::string End() {
    faults_->hold_writes = false;
    EXPECT_TRUE(Eventually([&] { return answered_.load(); }));
    return answer_;
  }

  void ReportDelivered() {
    internal::v1::Verdict verdict;
    verdict.set_lease(lease_.id);
    *verdict.add_outcomes() = Delivered();
    worker_->stream().Report(std::move(verdict));
  }

  const std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
  std::string id_, answer_;
  std::atomic<bool> answered_{false};
  std::unique_ptr<Worker> worker_;
  Lease lease_;
};

TEST_F(PurgeUnderWay, TakesTheLeaseOnlyWhenItIsOnDisk) {
  Begin(Faults::kNone);
  EXPECT_TRUE(worker_->NoneComes());
  EXPECT_EQ(worker_->revoked(), 0);
  EXPECT_EQ(End(), "1");
  EXPECT_TRUE(Eventually([&] { return worker_->revoked() == 1; }));
  EXPECT_EQ(Trace(id_), "AC");
  ExpectSound();
}

TEST_F(PurgeUnderWay, ThatFailsLeavesTheLease) {
  Begin(Faults::kLost);
  EXPECT_EQ(End(), "failed");
  EXPECT_TRUE(worker_->NoneComes());
  EXPECT_EQ(worker_->revoked(), 0);
  worker_->Report(lease_, {Delivered()});
  EXPECT_EQ(Trace(id_), "AD");
  ExpectSound();
}

TEST_F(PurgeUnderWay, ThatFailsLosesNoVerdict) {
  Begin(Faults::kLost);
  ReportDelivered();
  EXPECT_EQ(End(), "failed");
  EXPECT_TRUE(Eventually([&] { return worker_->recorded() == 1; }));
  EXPECT_EQ(worker_->revoked(), 0);
  EXPECT_EQ(Trace(id_), "AD");
  ExpectSound();
}

TEST_F(PurgeUnderWay, EndsWhatItsVerdictComesTooLateFor) {
  Begin(Faults::kNone);
  ReportDelivered();
  EXPECT_EQ(End(), "1");
  EXPECT_TRUE(Eventually([&] { return worker_->revoked() == 1; }));
  Accept(Mail({"b@y.test"}));
  worker_->Report(worker_->Next(), {Delivered()});  // Behind the late verdict in the line.
  EXPECT_EQ(worker_->recorded(), 1);
  EXPECT_EQ(Trace(id_), "AC");
  EXPECT_EQ(Check().delivered_total(), 1);
  ExpectSound();
}

TEST_F(PurgeUnderWay, ThatFailsTakesWhatWasGivenBack) {
  Begin(Faults::kLost);
  worker_->stream().GiveBack(lease_.id);
  EXPECT_EQ(End(), "failed");
  worker_->Report(worker_->Next(), {Delivered()});
  EXPECT_EQ(worker_->revoked(), 0);
  EXPECT_EQ(Trace(id_), "AD");
  ExpectSound();
}

TEST_F(PurgeUnderWay, OutlivesTheStreamOfTheWorker) {
  for (const Faults::Kind kind : {Faults::kLost, Faults::kNone}) {
    answered_ = false;
    faults_->held_writes = 0;
    Begin(kind);
    worker_->Close();
    EXPECT_EQ(End(), kind == Faults::kLost ? "failed" : "1");
    ExpectSound();
    worker_->Open(*shard_, 5);
    if (kind == Faults::kLost) lease_ = worker_->Next();
  }
  EXPECT_TRUE(worker_->NoneComes());
  EXPECT_EQ(Trace(id_), "AC");
}

}  // namespace
}  // namespace hikyaku::queue
