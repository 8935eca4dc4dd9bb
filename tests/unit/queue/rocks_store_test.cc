// The door to the disk itself: what holds it open, and who lets go.
#include "lib/queue/rocks_store.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace hikyaku::queue {
namespace {

class RocksStoreTest : public testing::Test {
 protected:
  RocksStoreTest() {
    const char* temporary = std::getenv("TEST_TMPDIR");
    dir_ = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/store");
    std::filesystem::remove_all(dir_);
    auto opened = OpenRocksStore({dir_, 1 << 20, 8 << 20, false});
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);
    const auto batch = store_->NewBatch();
    for (int i = 0; i < 100; ++i) batch->Put(Family::kEvent, absl::StrCat(1000 + i), "value");
    EXPECT_TRUE(store_->Write(*batch).ok());
  }
  ~RocksStoreTest() override {
    EXPECT_TRUE(store_->Close().ok());
    std::filesystem::remove_all(dir_);
  }

  std::string dir_;
  std::unique_ptr<Store> store_;
};

TEST_F(RocksStoreTest, LongWalkEndsWhenTheStoreMustBeReopened) {
  std::atomic<bool> walking{false};
  absl::Status cursor_said, view_said;
  std::thread reader([&] {
    const auto view = store_->Snapshot();
    const auto cursor = view->Scan(Family::kEvent, "", "");
    while (cursor->Valid()) {  // For ever, were it not asked to end.
      cursor->Next();
      if (!cursor->Valid() && cursor->status().ok()) cursor->Seek("");
      walking = true;
    }
    cursor_said = cursor->status();
    view_said = view->Get(Family::kEvent, "1000").status();
  });
  while (!walking) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_TRUE(store_->Heal(/*reopen=*/true).ok());
  reader.join();
  EXPECT_TRUE(absl::IsAborted(cursor_said)) << cursor_said;
  EXPECT_TRUE(absl::IsUnavailable(view_said)) << view_said;
  const auto after = store_->Get(Family::kEvent, "1000");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_TRUE(after->has_value());
}

TEST_F(RocksStoreTest, ReopeningIsRefusedWhileAReaderStays) {
  auto cursor = store_->Scan(Family::kEvent, "", "");
  EXPECT_TRUE(absl::IsUnavailable(store_->Heal(/*reopen=*/true)));
  EXPECT_TRUE(cursor->Valid()) << "the old files are in use again";
  cursor = nullptr;
  EXPECT_TRUE(store_->Heal(/*reopen=*/true).ok());
}

}  // namespace
}  // namespace hikyaku::queue
