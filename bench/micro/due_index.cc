// What a look for due deliveries costs on the real store, behind a million entries that were deleted.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/queue/keys.h"
#include "lib/queue/rocks_store.h"

namespace hikyaku::queue {
namespace {

constexpr int kDeleted = 1'000'000;
constexpr int kWaiting = 100'000;  // Scheduled for later than what was deleted.
constexpr int kGroup = 2'000;      // Entries of one commit.
constexpr std::int64_t kStart = 1'767'225'600'000'000;

std::string Key(int number) {
  return keys::Due(kStart + number, keys::Delivery(absl::StrCat(100'000'000 + number, "1234567"), "d.example.net"));
}

// The store after `kDeleted` deliveries came and went. One for all benchmarks; thrown away at the end.
class Worn {
 public:
  static Store* Get() {
    static Worn worn;
    return worn.store_.get();
  }
  ~Worn() {
    store_ = nullptr;
    std::filesystem::remove_all(dir_);
  }

 private:
  Worn() : dir_(absl::StrCat(Parent(), "/hikyaku-micro-due")) {
    std::filesystem::remove_all(dir_);
    auto opened = OpenRocksStore({.dir = dir_});
    if (!opened.ok()) return;
    store_ = *std::move(opened);
    storage::v1::DueEntry entry;
    entry.set_tenant("default");
    entry.set_expire_micros(kStart);
    const std::string value = entry.SerializeAsString();
    Each(0, kDeleted + kWaiting, [&](Batch& batch, int i) { batch.Put(Family::kDue, Key(i), value); });
    Each(0, kDeleted, [&](Batch& batch, int i) { batch.Delete(Family::kDue, Key(i)); });
  }

  static std::string Parent() {
    const char* folder = std::getenv("TEST_TMPDIR");
    return folder == nullptr ? "/var/tmp" : folder;
  }

  template <typename Change>
  void Each(int from, int to, Change change) {
    for (int group = from; group < to; group += kGroup) {
      const std::unique_ptr<Batch> batch = store_->NewBatch();
      for (int i = group; i < std::min(group + kGroup, to); ++i) change(*batch, i);
      if (!store_->Write(*batch).ok()) store_ = nullptr;
      if (store_ == nullptr) return;
    }
  }

  const std::string dir_;
  std::unique_ptr<Store> store_;
};

void Look(benchmark::State& state, const std::string& from) {
  Store* const store = Worn::Get();
  if (store == nullptr) {
    state.SkipWithError("no store: is there room on the disk?");
    return;
  }
  const std::string first = Key(kDeleted);
  for (auto _ : state) {
    const std::unique_ptr<Cursor> cursor = store->Scan(Family::kDue, from, "");
    if (cursor == nullptr || !cursor->Valid() || cursor->key() != first)
      state.SkipWithError("the first entry is not found");
  }
  state.SetItemsProcessed(state.iterations());
}

// As the poll does: from the mark that it remembers.
void LookFromTheMark(benchmark::State& state) { Look(state, Key(kDeleted)); }
BENCHMARK(LookFromTheMark)->Unit(benchmark::kMicrosecond);

// As it must not: from the front, over everything that was deleted.
void LookFromTheFront(benchmark::State& state) { Look(state, ""); }
BENCHMARK(LookFromTheFront)->Unit(benchmark::kMicrosecond);

// A thousand due entries, read and parsed: one step of the poll.
void ReadThousandDue(benchmark::State& state) {
  Store* const store = Worn::Get();
  if (store == nullptr) {
    state.SkipWithError("no store: is there room on the disk?");
    return;
  }
  for (auto _ : state) {
    const std::unique_ptr<Cursor> cursor = store->Scan(Family::kDue, Key(kDeleted), "");
    for (int i = 0; i < 1000 && cursor->Valid(); ++i, cursor->Next()) {
      storage::v1::DueEntry entry;
      benchmark::DoNotOptimize(entry.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size())));
      benchmark::DoNotOptimize(keys::ParseDue(cursor->key()));
    }
  }
  state.SetItemsProcessed(state.iterations() * 1000);
}
BENCHMARK(ReadThousandDue)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace hikyaku::queue
