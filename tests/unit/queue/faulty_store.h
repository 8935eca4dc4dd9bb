// A store whose writes fail on demand, over a real one.
#ifndef HIKYAKU_TESTS_UNIT_QUEUE_FAULTY_STORE_H_
#define HIKYAKU_TESTS_UNIT_QUEUE_FAULTY_STORE_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "lib/queue/store.h"

namespace hikyaku::queue {

// What is to go wrong; shared with the test.
struct Faults {
  enum Kind { kNone, kLost, kKept };
  // Of the next write that the store is given: it fails, and the batch is lost, or kept all the same.
  std::atomic<Kind> next_write{kNone};
  std::atomic<bool> broken{false};  // The store cannot be reopened.
  std::atomic<int> heals{0};
  std::atomic<int> writes{0};
};

class FaultyStore : public Store {
 public:
  FaultyStore(std::unique_ptr<Store> inner, std::shared_ptr<Faults> faults)
      : inner_(std::move(inner)), faults_(std::move(faults)) {}

  std::unique_ptr<Batch> NewBatch() override { return inner_->NewBatch(); }
  absl::Status Write(Batch& batch) override {
    ++faults_->writes;
    const Faults::Kind kind = faults_->next_write.exchange(Faults::kNone);
    if (kind == Faults::kNone) return inner_->Write(batch);
    if (kind == Faults::kKept) inner_->Write(batch).IgnoreError();
    return absl::UnavailableError("commit: IO error: injected");
  }
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    return inner_->Get(family, key);
  }
  std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    return inner_->Scan(family, from, to);
  }
  std::unique_ptr<View> Snapshot() override { return inner_->Snapshot(); }
  void DropFiles(Family family, absl::string_view from, absl::string_view to) override {
    inner_->DropFiles(family, from, to);
  }
  absl::Status Reclaim(std::atomic<bool>* cancel) override { return inner_->Reclaim(cancel); }
  StoreHealth Health() const override { return inner_->Health(); }
  absl::Status Heal(bool reopen) override {
    ++faults_->heals;
    if (faults_->broken) return absl::UnavailableError("still broken");
    return inner_->Heal(reopen);
  }
  absl::Status Close() override { return inner_->Close(); }

 private:
  const std::unique_ptr<Store> inner_;
  const std::shared_ptr<Faults> faults_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_TESTS_UNIT_QUEUE_FAULTY_STORE_H_
