#include "lib/queue/committer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/log.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// A group is bounded so that its first operation does not wait long for its last, and so that its batch stays in the
// processor's cache: larger groups save syncs that cost nothing any more.
constexpr std::size_t kGroupBytes = 1 << 20;
constexpr std::size_t kGroupOperations = 2048;

constexpr absl::Duration kRepairPause = absl::Seconds(1);

double Seconds(std::chrono::steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Committer::Committer(Store& store, Gate& gate, Metrics& metrics, storage::v1::Counters counters,
                     std::function<void(std::uint64_t)> before, std::function<void()> after, bool stepped)
    : store_(store),
      gate_(gate),
      metrics_(metrics),
      before_(std::move(before)),
      after_(std::move(after)),
      stepped_(stepped),
      published_(counters),
      counters_(std::move(counters)) {}

Committer::~Committer() { Stop(); }

void Committer::Start() {
  if (!stepped_) thread_ = std::thread([this] { Run(); });
}

void Committer::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  if (stepped_) Run();
}

void Committer::Push(std::unique_ptr<Operation> operation) {
  {
    absl::MutexLock lock(&mu_);
    if (!stopping_) {
      waiting_.push_back(std::move(operation));
      return;
    }
  }
  operation->Finish(absl::UnavailableError("the shard is stopping"));
}

void Committer::Check() {
  const StoreHealth health = store_.Health();
  gate_.Set(Gate::kStall, health.stopped ? "store: writes are stopped until compaction catches up" : "");
  if (health.error.empty()) return;
  gate_.Set(Gate::kStore, "store: background work failed");
  absl::MutexLock lock(&mu_);
  sick_ = true;
}

storage::v1::Counters Committer::counters() const {
  absl::MutexLock lock(&mu_);
  return published_;
}

bool Committer::Waits() const {
  absl::MutexLock lock(&mu_);
  return !waiting_.empty() || sick_ || !doubtful_.empty();
}

void Committer::Step() {
  if (Waits()) Turn();
}

void Committer::Run() {
  while (Turn()) {
  }
  batch_ = nullptr;  // It holds the files open.
}

// False: stopping, and nothing is left.
bool Committer::Turn() {
  if (!doubtful_.empty()) {
    Reopen();
    return true;
  }
  Operations group;
  if (!Gather(group)) return false;
  if (group.empty()) {
    Repair();
  } else {
    Commit(std::move(group));
  }
  return true;
}

// Takes the next group; empty: the store is sick. False: stopping, and nothing is left.
bool Committer::Gather(Operations& group) {
  absl::MutexLock lock(&mu_);
  const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !waiting_.empty() || stopping_ || sick_; };
  mu_.Await(absl::Condition(&something));
  if (sick_ && !stopping_) return true;
  std::size_t bytes = 0;
  while (!waiting_.empty() && group.size() < kGroupOperations && bytes < kGroupBytes) {
    const bool alone = waiting_.front()->alone();
    if (alone && !group.empty()) break;
    bytes += waiting_.front()->bytes();
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    if (alone) break;
  }
  return !group.empty();
}

void Committer::Commit(Operations group) {
  if (batch_ == nullptr) batch_ = store_.NewBatch();
  if (batch_ == nullptr) return Break(std::move(group), absl::UnavailableError("the store is closed"));
  batch_->Clear();
  storage::v1::Counters before = counters_;
  // Verdicts touch what earlier groups made, so their order against the rest is free; keeping each kind together keeps
  // the keys nearly sorted, which is what RocksDB inserts fastest.
  std::stable_partition(group.begin(), group.end(), [](const auto& operation) { return operation->must_happen(); });
  Group shared{store_, *batch_, counters_};
  for (const auto& operation : group) operation->Apply(shared);

  if (!batch_->empty()) {
    counters_.set_commit(counters_.commit() + 1);
    batch_->Put(Family::kMeta, keys::kCounters, counters_.SerializeAsString());
    const auto start = std::chrono::steady_clock::now();
    const absl::Status status = store_.Write(*batch_);
    if (!status.ok()) {
      counters_ = std::move(before);
      return Break(std::move(group), status);
    }
    metrics_.sync_seconds.Observe(Seconds(std::chrono::steady_clock::now() - start));
    metrics_.group_size.Observe(group.size());
    metrics_.commits.Increment();
  }
  Settle(std::move(group), true);
}

// `on_disk` is certain: tells every operation, and repeats those that must happen.
void Committer::Settle(Operations group, bool on_disk) {
  bool stopping;
  {
    absl::MutexLock lock(&mu_);
    published_ = counters_;
    stopping = stopping_;
  }
  before_(counters_.next_sequence() - 1);
  const absl::Status status = on_disk ? absl::OkStatus() : absl::UnavailableError("the commit failed");
  Operations again;
  for (auto& operation : group) {
    if (!on_disk && !stopping && operation->must_happen()) {
      again.push_back(std::move(operation));
    } else {
      operation->Finish(status);
    }
  }
  if (!again.empty()) {
    absl::MutexLock lock(&mu_);
    waiting_.insert(waiting_.begin(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
  }
  after_();
}

// The write of `group` failed: closes the gate. The next turns reopen until the store says what became of it.
void Committer::Break(Operations group, const absl::Status& status) {
  log::Error("commit_failed", {{"error", status}, {"operations", group.size()}});
  metrics_.commit_failures.Increment();
  gate_.Set(Gate::kStore, "store: a write failed");
  batch_ = nullptr;  // It holds the old files.
  for (const auto& operation : group) operation->Doubt(absl::DeadlineExceededError("the disk failed in the middle"));
  doubtful_ = std::move(group);
}

// One try, and the last one if we are stopping.
void Committer::Reopen() {
  FailWaiting();
  storage::v1::Counters found = counters_;
  absl::Status healed = store_.Heal(true);
  if (healed.ok()) healed = ReadCounters(found);
  if (!healed.ok()) {
    log::Warn("store_reopen_failed", {{"error", healed}});
    Pause();
    absl::MutexLock lock(&mu_);
    if (!stopping_) return;
  }

  const std::uint64_t doubtful = counters_.commit() + 1;
  const bool on_disk = found.commit() == doubtful;
  if (on_disk) counters_ = found;
  log::Info("store_reopened", {{"commit", doubtful}, {"on_disk", on_disk}});
  Settle(std::exchange(doubtful_, {}), on_disk);
  gate_.Set(Gate::kStore, "");
}

// Before the next try to mend the store; a stop ends it.
void Committer::Pause() {
  if (stepped_) return;
  absl::MutexLock lock(&mu_);
  const auto stopping = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_; };
  mu_.AwaitWithTimeout(absl::Condition(&stopping), kRepairPause);
}

// The counters on disk; as they were if there are none yet.
absl::Status Committer::ReadCounters(storage::v1::Counters& found) {
  const auto record = store_.Get(Family::kMeta, keys::kCounters);
  if (!record.ok() || !record->has_value()) return record.status();
  storage::v1::Counters read;
  if (!read.ParseFromString(**record)) return absl::DataLossError("the counters are damaged");
  found = std::move(read);
  return absl::OkStatus();
}

// Background work failed: nothing of ours is in doubt, but the store must be made to work again.
void Committer::Repair() {
  FailWaiting();
  batch_ = nullptr;
  const absl::Status healed = store_.Heal(false);
  if (!healed.ok()) {
    log::Warn("store_heal_failed", {{"error", healed}});
    return Pause();
  }
  absl::MutexLock lock(&mu_);
  sick_ = false;
  gate_.Set(Gate::kStore, "");
  log::Info("store_healed", {});
}

// Those that wait and were not begun: their callers go elsewhere.
void Committer::FailWaiting() {
  Operations failed;
  {
    absl::MutexLock lock(&mu_);
    std::deque<std::unique_ptr<Operation>> keep;
    for (auto& operation : waiting_) {
      if (operation->must_happen()) {
        keep.push_back(std::move(operation));
      } else {
        failed.push_back(std::move(operation));
      }
    }
    waiting_ = std::move(keep);
  }
  for (const auto& operation : failed) operation->Finish(absl::UnavailableError("the disk failed"));
}

}  // namespace hikyaku::queue
