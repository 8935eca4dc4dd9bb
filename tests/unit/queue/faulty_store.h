// A store whose reads and writes fail, or wait, on demand, over a real one.
#ifndef HIKYAKU_TESTS_UNIT_QUEUE_FAULTY_STORE_H_
#define HIKYAKU_TESTS_UNIT_QUEUE_FAULTY_STORE_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

// What is to go wrong; shared with the test.
struct Faults {
  enum Kind { kNone, kLost, kKept };
  // Of the next write that the store is given: it fails, and the batch is lost, or kept all the same.
  std::atomic<Kind> next_write{kNone};
  std::atomic<bool> broken{false};                           // The store cannot be reopened.
  std::atomic<bool> unreadable{false};                       // Deliveries and bodies cannot be read.
  std::atomic<bool> unreadable_tls_rows{false};              // What reports on TLS count cannot be read.
  std::atomic<bool> no_walks{false};                         // Deliveries cannot be walked over.
  std::atomic<int> lost_counters{0};                         // So many reads of the counters fail.
  std::atomic<bool> hold_bodies{false}, hold_writes{false};  // Reads of bodies, or writes, wait.
  std::atomic<bool> hold_snapshots{false};
  std::atomic<int> held_snapshots{0};
  std::atomic<int> held_bodies{0}, held_writes{0};  // That began to wait.
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
    Wait(faults_->hold_writes, faults_->held_writes);
    const Faults::Kind kind = faults_->next_write.exchange(Faults::kNone);
    if (kind == Faults::kNone) return inner_->Write(batch);
    if (kind == Faults::kKept) inner_->Write(batch).IgnoreError();
    return absl::UnavailableError("commit: IO error: injected");
  }
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    if (family == Family::kBody) Wait(faults_->hold_bodies, faults_->held_bodies);
    const bool mail = family == Family::kDelivery || family == Family::kBody;
    if (mail && faults_->unreadable) return absl::UnavailableError("read: IO error: injected");
    if (faults_->unreadable_tls_rows && key.substr(0, 7) == "tlsrpt/") {
      return absl::UnavailableError("read: IO error: injected");
    }
    if (key == "counters" && faults_->lost_counters > 0) {
      --faults_->lost_counters;
      return absl::UnavailableError("read: IO error: injected");
    }
    return inner_->Get(family, key);
  }
  std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    if (family == Family::kDelivery && faults_->no_walks) return nullptr;
    return inner_->Scan(family, from, to);
  }
  std::unique_ptr<View> Snapshot() override {
    Wait(faults_->hold_snapshots, faults_->held_snapshots);
    return inner_->Snapshot();
  }
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
  static void Wait(const std::atomic<bool>& hold, std::atomic<int>& held) {
    if (hold) ++held;
    while (hold) absl::SleepFor(absl::Milliseconds(2));
  }

  const std::unique_ptr<Store> inner_;
  const std::shared_ptr<Faults> faults_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_TESTS_UNIT_QUEUE_FAULTY_STORE_H_
