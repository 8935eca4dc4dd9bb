// A shard that cannot look whether a body is still needed keeps it, and looks again (lib/queue/reclaim.h).
#include <memory>
#include <string>

#include "lib/queue/rocks_store.h"
#include "tests/unit/queue/faulty_store.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

class LeftBody : public ShardTest {
 protected:
  LeftBody() {
    options_.open_store = [faults = faults_](const std::string& dir) -> absl::StatusOr<std::unique_ptr<Store>> {
      auto store = OpenRocksStore({dir, 1 << 20, 8 << 20, false});
      if (!store.ok()) return store.status();
      return std::make_unique<FaultyStore>(*std::move(store), faults);
    };
    Open();
  }

  const std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

TEST_F(LeftBody, GoesLater) {
  for (const bool restart : {false, true}) {
    Worker worker(*shard_, 2);
    Accept(Mail({"a@x.test", "b@y.test"}));
    worker.Report(worker.Next(), {Delivered()});
    faults_->no_walks = true;
    worker.Report(worker.Next(), {Delivered()});
    EXPECT_EQ(Check().bodies(), 1);
    ExpectSound();
    faults_->no_walks = false;
    worker.Close();
    if (restart) Reopen();
    EXPECT_TRUE(Eventually([&] {
      if (!restart) clock_.Advance(absl::Seconds(5));
      return Check().bodies() == 0;
    }));
    ExpectSound();
  }
}

TEST_F(LeftBody, StaysWhileItIsNeeded) {
  Worker worker(*shard_, 2);
  const std::string id = Accept(Mail({"a@x.test", "b@y.test"}));
  faults_->no_walks = true;
  worker.Report(worker.Next(), {Delivered()});
  faults_->no_walks = false;
  worker.Close();
  Reopen();
  absl::SleepFor(absl::Milliseconds(1500));  // Beyond the first look after the start.
  EXPECT_EQ(Check().bodies(), 1);
  ExpectSound();
  Worker other(*shard_, 1);
  other.Report(other.Next(), {Delivered()});
  EXPECT_EQ(Trace(id), "AADD");
  EXPECT_EQ(Check().bodies(), 0);
  ExpectSound();
}

}  // namespace
}  // namespace hikyaku::queue
