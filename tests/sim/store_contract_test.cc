// What every Store promises, asked of the simulated one and of the real one alike: or the simulation would prove
// something about a disk that does not exist.
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/queue/rocks_store.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {
namespace {

using queue::Family;

// A store of one kind, in a place that outlives it.
struct Place {
  virtual ~Place() = default;
  virtual std::unique_ptr<queue::Store> Open() = 0;
};

struct SimPlace : Place {
  std::unique_ptr<queue::Store> Open() override {
    return OpenSimStore(world, disk, "q0", [] {});
  }
  World world{1, false};
  SimDisk disk;
};

struct RocksPlace : Place {
  RocksPlace() : dir(absl::StrCat(std::getenv("TEST_TMPDIR"), "/contract")) { std::filesystem::remove_all(dir); }
  std::unique_ptr<queue::Store> Open() override {
    queue::RocksOptions options;
    options.dir = dir;
    auto store = queue::OpenRocksStore(std::move(options));
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  const std::string dir;
};

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Place>()> make;
};

class StoreContract : public testing::TestWithParam<Kind> {
 protected:
  using Change = std::function<void(queue::Batch&)>;

  void Write(const Change& change) {
    const auto batch = store_->NewBatch();
    change(*batch);
    ASSERT_TRUE(store_->Write(*batch).ok());
  }
  void Put(const std::string& key, const std::string& value) {
    Write([&](queue::Batch& batch) { batch.Put(Family::kDue, key, value); });
  }
  static std::string All(queue::Cursor& cursor) {
    std::string all;
    for (; cursor.Valid(); cursor.Next()) absl::StrAppend(&all, cursor.key(), "=", cursor.value(), " ");
    EXPECT_TRUE(cursor.status().ok());
    return all;
  }
  std::string All(const std::string& from = "", const std::string& to = "") {
    return All(*store_->Scan(Family::kDue, from, to));
  }

  const std::unique_ptr<Place> place_ = GetParam().make();
  std::unique_ptr<queue::Store> store_ = place_->Open();
};

TEST_P(StoreContract, WalksARangeInOrderWithoutItsEnd) {
  for (const char* key : {"c", "a", "b", "d"}) Put(key, "1");
  EXPECT_EQ(All(), "a=1 b=1 c=1 d=1 ");
  EXPECT_EQ(All("b", "d"), "b=1 c=1 ");
  EXPECT_EQ(All("bb"), "c=1 d=1 ");
  EXPECT_EQ(All("e"), "");
}

TEST_P(StoreContract, KeysOfFamiliesAndBytesAreApart) {
  Write([](queue::Batch& batch) {
    batch.Put(Family::kDue, std::string("a\0b", 3), "due");
    batch.Put(Family::kMeta, std::string("a\0b", 3), "meta");
    batch.Put(Family::kDue, "\xff", "last");
  });
  EXPECT_EQ(**store_->Get(Family::kMeta, absl::string_view("a\0b", 3)), "meta");
  EXPECT_FALSE(store_->Get(Family::kMeta, "a")->has_value());
  EXPECT_EQ(All(), absl::StrCat(absl::string_view("a\0b", 3), "=due \xff=last "));
}

TEST_P(StoreContract, LaterChangesOfABatchWin) {
  Put("b", "old");
  Write([](queue::Batch& batch) {
    batch.Put(Family::kDue, "a", "1");
    batch.Delete(Family::kDue, "a");
    batch.DeleteRange(Family::kDue, "b", "c");
    batch.Put(Family::kDue, "b", "new");
    batch.Put(Family::kDue, "c", "1");
  });
  EXPECT_EQ(All(), "b=new c=1 ");
}

TEST_P(StoreContract, ARangeIsDeletedWithoutItsEnd) {
  for (const char* key : {"a", "b", "c"}) Put(key, "1");
  Write([](queue::Batch& batch) { batch.DeleteRange(Family::kDue, "a", "c"); });
  EXPECT_EQ(All(), "c=1 ");
}

TEST_P(StoreContract, AClearedBatchIsEmpty) {
  const auto batch = store_->NewBatch();
  EXPECT_TRUE(batch->empty());
  batch->Put(Family::kDue, "a", "1");
  EXPECT_FALSE(batch->empty());
  EXPECT_GT(batch->bytes(), 0u);
  batch->Clear();
  EXPECT_TRUE(batch->empty());
  ASSERT_TRUE(store_->Write(*batch).ok());
  EXPECT_EQ(All(), "");
}

TEST_P(StoreContract, ASnapshotAndACursorSeeTheirMoment) {
  Put("a", "1");
  const auto view = store_->Snapshot();
  const auto cursor = store_->Scan(Family::kDue, "", "");
  Put("a", "2");
  Put("b", "2");
  EXPECT_EQ(**view->Get(Family::kDue, "a"), "1");
  EXPECT_EQ(All(*view->Scan(Family::kDue, "", "")), "a=1 ");
  EXPECT_EQ(All(*cursor), "a=1 ");
  EXPECT_EQ(All(), "a=2 b=2 ");
}

TEST_P(StoreContract, ACursorSeeksBothWays) {
  for (const char* key : {"a", "b", "c"}) Put(key, "1");
  const auto cursor = store_->Scan(Family::kDue, "a", "c");
  cursor->Seek("b");
  EXPECT_EQ(cursor->key(), "b");
  cursor->Seek("a");
  EXPECT_EQ(cursor->key(), "a");
  cursor->Seek("c");
  EXPECT_FALSE(cursor->Valid());
}

TEST_P(StoreContract, WhatWasWrittenIsThereAfterReopening) {
  Put("a", "1");
  ASSERT_TRUE(store_->Heal(/*reopen=*/true).ok());
  EXPECT_EQ(All(), "a=1 ");
  Put("b", "1");
  ASSERT_TRUE(store_->Close().ok());
  store_ = nullptr;
  store_ = place_->Open();
  EXPECT_EQ(All(), "a=1 b=1 ");
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract,
                         testing::Values(Kind{"Simulated", [] { return std::make_unique<SimPlace>(); }},
                                         Kind{"Rocks", [] { return std::make_unique<RocksPlace>(); }}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::sim
