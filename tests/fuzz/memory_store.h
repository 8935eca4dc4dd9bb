// A store in memory that can be filled with any bytes, without the writer's checks: what a damaged disk might hold.
//
// Threading: as Store. A cursor and a view hold a copy.
#ifndef HIKYAKU_TESTS_FUZZ_MEMORY_STORE_H_
#define HIKYAKU_TESTS_FUZZ_MEMORY_STORE_H_

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

using MemoryTable = std::map<std::string, std::string>;
using MemoryTables = std::array<MemoryTable, kFamilies>;

// Outlives the store: what is "on disk".
struct MemoryDisk {
  absl::Mutex mu;
  MemoryTables tables ABSL_GUARDED_BY(mu);
};

class MemoryBatch : public Batch {
 public:
  void Put(Family family, absl::string_view key, absl::string_view value) override {
    Add([family, key = std::string(key), value = std::string(value)](MemoryTables& tables) {
      tables[static_cast<int>(family)][key] = value;
    });
    bytes_ += key.size() + value.size();
  }
  void Delete(Family family, absl::string_view key) override {
    Add([family, key = std::string(key)](MemoryTables& tables) { tables[static_cast<int>(family)].erase(key); });
  }
  void DeleteRange(Family family, absl::string_view from, absl::string_view to) override {
    Add([family, from = std::string(from), to = std::string(to)](MemoryTables& tables) {
      MemoryTable& table = tables[static_cast<int>(family)];
      if (from < to) table.erase(table.lower_bound(from), table.lower_bound(to));
    });
  }
  void Clear() override { changes_.clear(), bytes_ = 0; }
  bool empty() const override { return changes_.empty(); }
  std::size_t bytes() const override { return bytes_; }

  void Apply(MemoryTables& tables) const {
    for (const auto& change : changes_) change(tables);
  }

 private:
  void Add(std::function<void(MemoryTables&)> change) { changes_.push_back(std::move(change)); }

  std::vector<std::function<void(MemoryTables&)>> changes_;
  std::size_t bytes_ = 0;
};

class MemoryCursor : public Cursor {
 public:
  MemoryCursor(const MemoryTable& table, absl::string_view from, absl::string_view to)
      : rows_(table.lower_bound(std::string(from)), to.empty() ? table.end() : table.lower_bound(std::string(to))) {}
  void Seek(absl::string_view key) override {
    for (at_ = 0; at_ < rows_.size() && absl::string_view(rows_[at_].first) < key;) ++at_;
  }
  void Next() override { ++at_; }
  bool Valid() const override { return at_ < rows_.size(); }
  absl::string_view key() const override { return rows_[at_].first; }
  absl::string_view value() const override { return rows_[at_].second; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const std::vector<std::pair<std::string, std::string>> rows_;
  std::size_t at_ = 0;
};

inline std::optional<std::string> MemoryGet(const MemoryTables& tables, Family family, absl::string_view key) {
  const MemoryTable& table = tables[static_cast<int>(family)];
  const auto found = table.find(std::string(key));
  return found == table.end() ? std::nullopt : std::optional<std::string>(found->second);
}

inline std::unique_ptr<Cursor> MemoryScan(const MemoryTables& tables, Family family, absl::string_view from,
                                          absl::string_view to) {
  if (!to.empty() && to < from) to = from;
  return std::make_unique<MemoryCursor>(tables[static_cast<int>(family)], from, to);
}

class MemoryView : public View {
 public:
  explicit MemoryView(MemoryTables tables) : tables_(std::move(tables)) {}
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    return MemoryGet(tables_, family, key);
  }
  std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    return MemoryScan(tables_, family, from, to);
  }

 private:
  const MemoryTables tables_;
};

class MemoryStore : public Store {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  std::unique_ptr<Batch> NewBatch() override { return std::make_unique<MemoryBatch>(); }
  absl::Status Write(Batch& batch) override {
    absl::MutexLock lock(&disk_->mu);
    static_cast<MemoryBatch&>(batch).Apply(disk_->tables);
    return absl::OkStatus();
  }
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    absl::MutexLock lock(&disk_->mu);
    return MemoryGet(disk_->tables, family, key);
  }
  std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    absl::MutexLock lock(&disk_->mu);
    return MemoryScan(disk_->tables, family, from, to);
  }
  std::unique_ptr<View> Snapshot() override {
    absl::MutexLock lock(&disk_->mu);
    return std::make_unique<MemoryView>(disk_->tables);
  }
  void DropFiles(Family, absl::string_view, absl::string_view) override {}
  absl::Status Reclaim(std::atomic<bool>*) override { return absl::OkStatus(); }
  StoreHealth Health() const override { return {}; }
  absl::Status Heal(bool) override { return absl::OkStatus(); }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  const std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_TESTS_FUZZ_MEMORY_STORE_H_
