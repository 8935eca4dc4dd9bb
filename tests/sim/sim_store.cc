#include "tests/sim/sim_store.h"

#include <algorithm>
#include <atomic>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/base/check.h"
#include "lib/queue/keys.h"
#include "tests/sim/tls_report_reader.h"

namespace hikyaku::sim {
namespace {

using queue::Family;
using Map = SimDisk::Map;

class SimBatch : public queue::Batch {
 public:
  void Put(Family family, absl::string_view key, absl::string_view value) override {
    changes_.push_back({family, std::string(key), std::string(value), ""});
    bytes_ += key.size() + value.size();
  }
  void Delete(Family family, absl::string_view key) override {
    changes_.push_back({family, std::string(key), std::nullopt, ""});
    bytes_ += key.size();
  }
  void DeleteRange(Family family, absl::string_view from, absl::string_view to) override {
    if (from < to) changes_.push_back({family, std::string(from), std::nullopt, std::string(to)});
  }
  void Clear() override {
    changes_.clear();
    bytes_ = 0;
  }
  bool empty() const override { return changes_.empty(); }
  std::size_t bytes() const override { return bytes_; }

  SimDisk::Changes& changes() { return changes_; }

 private:
  SimDisk::Changes changes_;
  std::size_t bytes_ = 0;
};

class SimCursor : public queue::Cursor {
 public:
  SimCursor(std::shared_ptr<const Map> map, absl::string_view from, absl::string_view to)
      : map_(std::move(map)), from_(from), to_(to), at_(map_->lower_bound(from)) {}
  // One that cannot be read.
  explicit SimCursor(absl::Status error)
      : map_(std::make_shared<const Map>()), at_(map_->end()), status_(std::move(error)) {}

  void Seek(absl::string_view key) override { at_ = map_->lower_bound(std::max(key, absl::string_view(from_))); }
  void Next() override { ++at_; }
  bool Valid() const override { return at_ != map_->end() && (to_.empty() || at_->first < to_); }
  absl::string_view key() const override { return at_->first; }
  absl::string_view value() const override { return at_->second; }
  absl::Status status() const override { return status_; }

 private:
  const std::shared_ptr<const Map> map_;
  const std::string from_;
  const std::string to_;
  Map::const_iterator at_;
  const absl::Status status_;
};

class SimView : public queue::View {
 public:
  explicit SimView(const SimDisk& disk) {
    for (int i = 0; i < queue::kFamilies; ++i) families_[i] = disk.families[i];
  }

  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    const Map& map = *families_[static_cast<int>(family)];
    const auto it = map.find(key);
    if (it == map.end()) return std::nullopt;
    return it->second;
  }
  std::unique_ptr<queue::Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    return std::make_unique<SimCursor>(families_[static_cast<int>(family)], from, to);
  }

 private:
  std::array<std::shared_ptr<const Map>, queue::kFamilies> families_;
};

class SimStore : public queue::Store {
 public:
  SimStore(World& world, SimDisk& disk, std::string name, std::function<void()> died)
      : world_(world), disk_(disk), name_(std::move(name)), died_(std::move(died)) {}

  std::unique_ptr<queue::Batch> NewBatch() override {
    if (closed_ || dead_) return nullptr;
    return std::make_unique<SimBatch>();
  }

  absl::Status Write(queue::Batch& batch) override {
    SimDisk::Changes& changes = static_cast<SimBatch&>(batch).changes();
    if (dead_ || closed_ || broken_) return absl::UnavailableError("the store is closed");
    HIKYAKU_CHECK(!disk_.doubtful.has_value());
    Mutate(changes);
    if (world_.random.Chance(disk_.crashing_writes)) return DieIn(changes);
    if (world_.random.Chance(disk_.failing_writes)) {
      world_.Trace(name_, " write fails");
      broken_ = true;
      heals_ = static_cast<int>(world_.random.Below(4));
      disk_.doubtful = changes;
      return absl::UnavailableError("commit: IO error: simulated");
    }
    if (disk_.mutant == Mutant::kForgetSync) RememberForUndo();
    disk_.Apply(changes);
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    if (Unreadable()) return absl::UnavailableError("read: IO error: simulated");
    auto found = SimView(disk_).Get(family, key);
    const bool turn = disk_.mutant == Mutant::kCorruptBody && family == Family::kBody && world_.random.Chance(0.1);
    if (turn && found->has_value()) (**found)[(*found)->size() / 2] ^= 1;
    return found;
  }

  std::unique_ptr<queue::Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    if (closed_ || dead_) return nullptr;
    if (Unreadable()) return std::make_unique<SimCursor>(absl::UnavailableError("read: IO error: simulated"));
    return SimView(disk_).Scan(family, from, to);
  }

  std::unique_ptr<queue::View> Snapshot() override {
    if (closed_ || dead_) return nullptr;
    return std::make_unique<SimView>(disk_);
  }

  void DropFiles(Family, absl::string_view, absl::string_view) override {}
  absl::Status Reclaim(std::atomic<bool>*) override { return absl::OkStatus(); }

  queue::StoreHealth Health() const override {
    queue::StoreHealth health;
    if (!dead_ && world_.random.Chance(disk_.sick)) health.error = "background: IO error: simulated";
    return health;
  }

  absl::Status Heal(bool reopen) override {
    if (dead_) return absl::UnavailableError("dead");
    if (heals_ > 0) {
      --heals_;
      closed_ = broken_;
      return absl::UnavailableError("open: IO error: simulated");
    }
    if (!reopen) return broken_ ? absl::UnavailableError("reopen first") : absl::OkStatus();
    Decide();
    closed_ = broken_ = false;
    return absl::OkStatus();
  }

  absl::Status Close() override {
    if (!dead_) Decide();
    dead_ = true;
    return absl::OkStatus();
  }

 private:
  bool Unreadable() { return closed_ || dead_ || world_.random.Chance(disk_.failing_reads); }

  void Decide() {
    if (!disk_.doubtful.has_value()) return;
    disk_.Crash(world_);
    world_.Trace(name_, " reopened");
  }

  // The process dies in the middle: the batch may be there or not, and nobody was told.
  absl::Status DieIn(const SimDisk::Changes& changes) {
    world_.Trace(name_, " dies in a write");
    disk_.doubtful = changes;
    dead_ = true;
    died_();
    return absl::UnavailableError("dead");
  }

  void Mutate(SimDisk::Changes& changes) {
    const auto forget = [&](Family family, bool put = true) {
      for (auto it = changes.begin(); it != changes.end(); ++it) {
        if (it->family != family || it->value.has_value() != put || !world_.random.Chance(0.05)) continue;
        changes.erase(it);
        return;
      }
    };
    if (disk_.mutant == Mutant::kForgetDue) forget(Family::kDue);
    if (disk_.mutant == Mutant::kForgetDelivery) forget(Family::kDelivery);
    if (disk_.mutant == Mutant::kKeepDelivery) forget(Family::kDelivery, /*put=*/false);
    if (disk_.mutant == Mutant::kLoseTlsRow && world_.random.Chance(0.2)) ForgetTlsRows(changes, /*put=*/true);
    if (disk_.mutant == Mutant::kKeepTlsRow) ForgetTlsRows(changes, /*put=*/false);
    if (disk_.mutant == Mutant::kTlsReportApart) DropTlsReport(changes);
    if (disk_.mutant == Mutant::kDropReport || disk_.mutant == Mutant::kDoubleReport) MutateReport(changes);
  }

  static void ForgetTlsRows(SimDisk::Changes& changes, bool put) {
    const auto is_row = [put](const SimDisk::Change& change) {
      return change.family == Family::kMeta && change.value.has_value() == put &&
             absl::StartsWith(change.key, queue::keys::kTlsReports);
    };
    changes.erase(std::remove_if(changes.begin(), changes.end(), is_row), changes.end());
  }

  static void DropTlsReport(SimDisk::Changes& changes) {
    const auto body = std::find_if(changes.begin(), changes.end(), [](const SimDisk::Change& change) {
      return change.family == Family::kBody && change.value.has_value() && !TlsReportIdOf(*change.value).empty();
    });
    if (body != changes.end()) changes.erase(body);
  }

  // The first report of the batch, if there is one.
  void MutateReport(SimDisk::Changes& changes) {
    storage::v1::Delivery report;
    const auto record = std::find_if(changes.begin(), changes.end(), [&](const SimDisk::Change& change) {
      return change.family == Family::kDelivery && change.value.has_value() && report.ParseFromString(*change.value) &&
             !report.envelope().report_of().empty() && report.attempts() == 0;
    });
    if (record == changes.end() || !world_.random.Chance(0.3)) return;
    const std::string key = record->key;
    if (disk_.mutant == Mutant::kDoubleReport) return DoubleReport(changes, key, report);
    const auto of_it = [&](const SimDisk::Change& change) {
      return (change.family == Family::kDelivery || change.family == Family::kDue) && absl::EndsWith(change.key, key);
    };
    changes.erase(std::remove_if(changes.begin(), changes.end(), of_it), changes.end());
  }

  static void DoubleReport(SimDisk::Changes& changes, const std::string& key, storage::v1::Delivery report) {
    const std::string id = report.envelope().message_id();
    std::string twin = id;
    twin.back() ^= 1;
    report.mutable_envelope()->set_message_id(twin);
    SimDisk::Changes more;
    for (SimDisk::Change change : changes) {
      const bool record = change.family == Family::kDelivery && change.key == key;
      const bool due = change.family == Family::kDue && absl::EndsWith(change.key, key);
      const bool body = change.family == Family::kBody && absl::StartsWith(change.key, id);
      if (!record && !due && !body) continue;
      change.key.replace(change.key.find(id), id.size(), twin);
      if (record) change.value = report.SerializeAsString();
      more.push_back(std::move(change));
    }
    changes.insert(changes.end(), more.begin(), more.end());
  }

  void RememberForUndo() {
    std::array<std::shared_ptr<Map>, queue::kFamilies> before;
    for (int i = 0; i < queue::kFamilies; ++i) before[i] = disk_.families[i];
    disk_.undo = [this_disk = &disk_, before] { this_disk->families = before; };
  }

  World& world_;
  SimDisk& disk_;
  const std::string name_;
  const std::function<void()> died_;
  bool broken_ = false;  // A write failed: reopen first.
  bool closed_ = false;  // Reopening failed.
  bool dead_ = false;
  int heals_ = 0;  // Tries to heal that will fail.
};

}  // namespace

const char* MutantName(Mutant::Kind kind) {
  static constexpr const char* kNames[] = {"none",
                                           "forget-sync",
                                           "ack-before-sync",
                                           "delete-before-250",
                                           "forget-due",
                                           "forget-delivery",
                                           "corrupt-body",
                                           "lose-verdict",
                                           "misreport-written",
                                           "keep-delivery",
                                           "drop-key-on-recovery",
                                           "forget-verify",
                                           "policy-of-neighbour",
                                           "hasty-clear-text",
                                           "ignore-sts",
                                           "forget-dane",
                                           "dane-fails-open",
                                           "forget-require-tls",
                                           "forget-waiver",
                                           "forget-signing",
                                           "drop-report",
                                           "double-report",
                                           "lose-tls-row",
                                           "count-twice",
                                           "keep-tls-row",
                                           "tls-report-apart"};
  return kNames[kind];
}

SimDisk::SimDisk() {
  for (auto& family : families) family = std::make_shared<Map>();
}

void SimDisk::Apply(const Changes& changes) {
  if (witness) witness(changes, *families[static_cast<int>(Family::kMeta)]);
  for (const Change& change : changes) {
    std::shared_ptr<Map>& map = families[static_cast<int>(change.family)];
    if (map.use_count() > 1) map = std::make_shared<Map>(*map);
    if (change.value.has_value()) {
      (*map)[change.key] = *change.value;
    } else if (change.to.empty()) {
      map->erase(change.key);
    } else {
      map->erase(map->lower_bound(change.key), map->lower_bound(change.to));
    }
  }
}

void SimDisk::Crash(World& world) {
  if (undo) undo();
  undo = nullptr;
  if (doubtful.has_value() && world.random.Chance(0.5)) Apply(*doubtful);
  doubtful.reset();
}

std::unique_ptr<queue::Store> OpenSimStore(World& world, SimDisk& disk, std::string name, std::function<void()> died) {
  disk.Crash(world);
  if (disk.mutant == Mutant::kDropKeyOnRecovery) {
    for (const Family family : {Family::kDelivery, Family::kDue}) {
      auto& map = *disk.families[static_cast<int>(family)];
      if (map.size() > 2 && world.random.Chance(0.5)) map.erase(std::next(map.begin(), map.size() / 2));
    }
  }
  return std::make_unique<SimStore>(world, disk, std::move(name), std::move(died));
}

}  // namespace hikyaku::sim
