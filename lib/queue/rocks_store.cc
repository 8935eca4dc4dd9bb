// RocksDB's options, each with its reason, and the handling of its errors.
#include "lib/queue/rocks_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/queue/log_tail.h"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/options.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/table.h"
#include "rocksdb/write_batch.h"

namespace hikyaku::queue {
namespace {

// Names at rest, in the order of Family. Never rename.
constexpr std::array<const char*, kFamilies> kNames = {"default",     "body",  "delivery", "due",         "parked",
                                                       "idempotency", "event", "trace",    "suppression", "site"};

// How long Heal() waits for readers to let go of the old files.
constexpr absl::Duration kReadersMayTake = absl::Seconds(5);

rocksdb::Slice Slice(absl::string_view view) { return {view.data(), view.size()}; }
absl::string_view View_(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

absl::Status ToStatus(const rocksdb::Status& status, absl::string_view doing) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat(doing, ": ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(text);
  return absl::UnavailableError(text);
}

// What RocksDB's own threads report; read by Health().
class Watch : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* status) override {
    absl::MutexLock lock(&mu_);
    error_ = status->ToString();
    log::Error("store_background_error", {{"error", error_}});
  }
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override {
    if (info.new_bg_error.ok()) Clear();
  }
  void OnStallConditionsChanged(const rocksdb::WriteStallInfo& info) override {
    const bool now = info.condition.cur == rocksdb::WriteStallCondition::kStopped;
    const bool before = info.condition.prev == rocksdb::WriteStallCondition::kStopped;
    if (now != before) stopped_ += now ? 1 : -1;
  }

  void Clear() {
    absl::MutexLock lock(&mu_);
    error_.clear();
  }
  void Reset() {
    Clear();
    stopped_ = 0;
  }
  StoreHealth Health() const {
    absl::MutexLock lock(&mu_);
    return {error_, stopped_ > 0};
  }

 private:
  mutable absl::Mutex mu_;
  std::string error_ ABSL_GUARDED_BY(mu_);
  std::atomic<int> stopped_{0};  // Families that are stopped.
};

// RocksDB's warnings, as lines of our log. Its own log file would be on the disk that has failed, and Debian's RocksDB,
// built with assertions, aborts at the second line that it cannot write.
class InfoLog : public rocksdb::Logger {
 public:
  InfoLog() : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}

  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
  void Logv(rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel() || level >= rocksdb::InfoLogLevel::HEADER_LEVEL) return;
    char text[log::kMaxValue];
    std::vsnprintf(text, sizeof text, format, arguments);
    log::Warn("store_says", {{"text", text}});
  }

 private:
  rocksdb::Status CloseImpl() override { return rocksdb::Status::OK(); }
};

rocksdb::DBOptions DbOptions(const RocksOptions& options, std::shared_ptr<Watch> watch) {
  rocksdb::DBOptions db;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  // Anything but a torn tail is damage that must be seen (Open() looks at the tail). The MANIFEST knows which logs must
  // exist.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.track_and_verify_wals_in_manifest = true;
  db.paranoid_checks = true;
  // Recovered commits go to a synced table file before Open returns: what is read after a failed sync is on disk.
  db.avoid_flush_during_recovery = false;
  db.max_background_jobs = 2;
  // File deletion happens off the committer's thread.
  db.avoid_unnecessary_blocking_io = true;
  // One writer thread: no need for the machinery that joins several.
  db.allow_concurrent_memtable_write = false;
  db.enable_pipelined_write = false;
  // Bounds the memory of all families together, full ones that wait for their flush included.
  db.db_write_buffer_size = options.write_buffer * 5;
  // Bounds the replay at start, and the room that old logs take.
  db.max_total_wal_size = options.write_buffer * 8;
  // Below the usual limit of 1,024 descriptors, with room for sockets.
  db.max_open_files = 256;
  db.bytes_per_sync = 1 << 20;  // Table files trickle to disk, so that a log sync does not wait behind a burst.
  db.info_log = std::make_shared<InfoLog>();
  db.listeners.push_back(std::move(watch));
  return db;
}

rocksdb::ColumnFamilyOptions FamilyOptions(Family family, const RocksOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions cf;
  cf.write_buffer_size = options.write_buffer;
  cf.max_write_buffer_number = 4;
  cf.compression = rocksdb::kNoCompression;
  cf.bottommost_compression = rocksdb::kLZ4Compression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  // Memory must not grow with the number of files, so indexes and filters live in the cache, too; in pieces, so that a
  // read of ten million keys brings in 4 KiB of them and not megabytes.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.metadata_block_size = 4096;
  if (family == Family::kDelivery || family == Family::kBody || family == Family::kIdempotency) {
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.partition_filters = true;
    // Almost every delivery and body that is asked for is there: filters of the last level, which would be most of
    // them, say nothing new. Most keys of requests are new.
    cf.optimize_filters_for_hits = family != Family::kIdempotency;
  }
  table.format_version = 5;
  // Keys of these come nearly sorted by time: an insert begins where the last one ended instead of at the top of the
  // skip list. Not for families that use DeleteRange: RocksDB 7.8 keeps range deletions in a second skip list, and
  // would take the place in the one for a place in the other.
  if (family == Family::kBody || family == Family::kDelivery || family == Family::kDue) {
    cf.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(4));
  }
  switch (family) {
    case Family::kBody:
      // Bodies stay out of the levels: compaction moves 24-byte keys, and frees blob files of which half is garbage.
      cf.enable_blob_files = true;
      cf.min_blob_size = 512;
      cf.blob_file_size = std::uint64_t{64} << 20;
      cf.enable_blob_garbage_collection = true;
      cf.blob_garbage_collection_age_cutoff = 0.5;
      cf.blob_garbage_collection_force_threshold = 0.5;
      // Two are flushed as one, and the fourth that waits slows down writers: while two go to disk, another may fill.
      cf.max_write_buffer_number = 5;
      [[fallthrough]];
    case Family::kDelivery:
    case Family::kDue:
    case Family::kParked:
      // Two buffers are flushed as one: what was made and deleted within them never reaches a table file.
      cf.min_write_buffer_number_to_merge = 2;
      cf.compression = rocksdb::kNoCompression;
      break;
    case Family::kMeta:
      cf.write_buffer_size = 1 << 20;  // One record, written again and again.
      break;
    default:
      cf.write_buffer_size = options.write_buffer / 2;  // Nothing is deleted soon: nothing is won by waiting.
      break;
  }
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return cf;
}

// An open database; freed when its last reader lets go.
struct OpenDb {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  std::atomic<bool> leaving{false};  // Those who walk over it are asked to end.

  rocksdb::ColumnFamilyHandle* of(Family family) const { return handles[static_cast<int>(family)]; }
  ~OpenDb() {
    if (db == nullptr) return;
    for (rocksdb::ColumnFamilyHandle* handle : handles) db->DestroyColumnFamilyHandle(handle);
    db->Close().PermitUncheckedError();
  }
};

class RocksBatch : public Batch {
 public:
  explicit RocksBatch(std::shared_ptr<const OpenDb> db) : db_(std::move(db)) {}

  void Put(Family family, absl::string_view key, absl::string_view value) override {
    batch_.Put(db_->of(family), Slice(key), Slice(value)).PermitUncheckedError();
  }
  void Delete(Family family, absl::string_view key) override {
    batch_.Delete(db_->of(family), Slice(key)).PermitUncheckedError();
  }
  void DeleteRange(Family family, absl::string_view from, absl::string_view to) override {
    batch_.DeleteRange(db_->of(family), Slice(from), Slice(to)).PermitUncheckedError();
  }
  void Clear() override { batch_.Clear(); }
  bool empty() const override { return batch_.Count() == 0; }
  std::size_t bytes() const override { return batch_.GetDataSize(); }
  rocksdb::WriteBatch& batch() { return batch_; }

 private:
  const std::shared_ptr<const OpenDb> db_;
  rocksdb::WriteBatch batch_;
};

class RocksCursor : public Cursor {
 public:
  RocksCursor(std::shared_ptr<const OpenDb> db, Family family, absl::string_view from, absl::string_view to,
              const rocksdb::Snapshot* snapshot)
      : db_(std::move(db)), to_(to), upper_(to_) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    if (!to_.empty()) options.iterate_upper_bound = &upper_;
    iterator_.reset(db_->db->NewIterator(options, db_->of(family)));
    Seek(from);
  }
  void Seek(absl::string_view key) override { iterator_->Seek(Slice(key)); }
  void Next() override { iterator_->Next(); }
  bool Valid() const override { return !db_->leaving.load(std::memory_order_relaxed) && iterator_->Valid(); }
  absl::string_view key() const override { return View_(iterator_->key()); }
  absl::string_view value() const override { return View_(iterator_->value()); }
  absl::Status status() const override {
    if (db_->leaving) return absl::AbortedError("the store is being reopened");
    return ToStatus(iterator_->status(), "scan");
  }

 private:
  const std::shared_ptr<const OpenDb> db_;
  const std::string to_;
  const rocksdb::Slice upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

absl::StatusOr<std::optional<std::string>> GetFrom(const OpenDb& db, Family family, absl::string_view key,
                                                   const rocksdb::Snapshot* snapshot) {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  std::string value;
  const rocksdb::Status status = db.db->Get(options, db.of(family), Slice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  RETURN_IF_ERROR(ToStatus(status, "read"));
  return value;
}

class RocksView : public View {
 public:
  explicit RocksView(std::shared_ptr<const OpenDb> db) : db_(std::move(db)), snapshot_(db_->db->GetSnapshot()) {}
  ~RocksView() override { db_->db->ReleaseSnapshot(snapshot_); }

  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    if (db_->leaving) return absl::UnavailableError("the store is being reopened");
    return GetFrom(*db_, family, key, snapshot_);
  }
  std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    return std::make_unique<RocksCursor>(db_, family, from, to, snapshot_);
  }

 private:
  const std::shared_ptr<const OpenDb> db_;
  const rocksdb::Snapshot* const snapshot_;
};

class RocksStore : public Store {
 public:
  explicit RocksStore(RocksOptions options)
      : options_(std::move(options)),
        cache_(rocksdb::NewLRUCache(options_.block_cache)),
        watch_(std::make_shared<Watch>()) {}

  absl::Status Open();

  std::unique_ptr<Batch> NewBatch() override {
    std::shared_ptr<const OpenDb> db = Current();
    return db == nullptr ? nullptr : std::make_unique<RocksBatch>(std::move(db));
  }
  absl::Status Write(Batch& batch) override;
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) override {
    const std::shared_ptr<const OpenDb> db = Current();
    if (db == nullptr) return absl::UnavailableError("the store is closed");
    return GetFrom(*db, family, key, nullptr);
  }
  std::unique_ptr<Cursor> Scan(Family family, absl::string_view from, absl::string_view to) override {
    std::shared_ptr<const OpenDb> db = Current();
    return db == nullptr ? nullptr : std::make_unique<RocksCursor>(std::move(db), family, from, to, nullptr);
  }
  std::unique_ptr<View> Snapshot() override {
    std::shared_ptr<const OpenDb> db = Current();
    return db == nullptr ? nullptr : std::make_unique<RocksView>(std::move(db));
  }
  void DropFiles(Family family, absl::string_view from, absl::string_view to) override;
  absl::Status Reclaim(std::atomic<bool>* cancel) override;
  StoreHealth Health() const override { return watch_->Health(); }
  absl::Status Heal(bool reopen) override;
  absl::Status Close() override;

 private:
  std::shared_ptr<const OpenDb> Current() const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    return db_;
  }
  absl::Status Release() ABSL_LOCKS_EXCLUDED(mu_);

  const RocksOptions options_;
  const std::shared_ptr<rocksdb::Cache> cache_;
  const std::shared_ptr<Watch> watch_;
  mutable absl::Mutex mu_;
  std::shared_ptr<OpenDb> db_ ABSL_GUARDED_BY(mu_);
};

absl::Status Damaged(const std::string& dir, absl::string_view why) {
  return absl::DataLossError(
      absl::StrCat(dir, " is damaged, and starting would lose accepted mail: ", why,
                   ". Nothing was changed. Restore the folder, or move it away to start empty."));
}

absl::Status RocksStore::Open() {
  rocksdb::DBOptions db_options = DbOptions(options_, watch_);
  const absl::StatusOr<LogTail> tail = InspectLogs(options_.dir);
  if (absl::IsDataLoss(tail.status())) return Damaged(options_.dir, tail.status().message());
  RETURN_IF_ERROR(tail.status());
  if (tail->torn()) {
    log::Warn("log_tail_torn", {{"file", tail->file}, {"bytes", tail->size - tail->whole}});
    db_options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (int i = 0; i < kFamilies; ++i) {
    families.emplace_back(kNames[i], FamilyOptions(static_cast<Family>(i), options_, cache_));
  }
  auto open = std::make_shared<OpenDb>();
  rocksdb::DB* db = nullptr;
  watch_->Reset();
  const rocksdb::Status status =
      options_.read_only ? rocksdb::DB::OpenForReadOnly(db_options, options_.dir, families, &open->handles, &db)
                         : rocksdb::DB::Open(db_options, options_.dir, families, &open->handles, &db);
  if (!status.ok()) {
    const std::string text = status.ToString();
    if (absl::StrContains(text, "While lock file") || absl::StrContains(text, "lock hold by")) {
      return absl::FailedPreconditionError(absl::StrCat(options_.dir, " is open in another process (", text, ")"));
    }
    if (status.IsCorruption()) {
      return Damaged(options_.dir, text);
    }
    return ToStatus(status, absl::StrCat("open ", options_.dir));
  }
  open->db.reset(db);
  absl::MutexLock lock(&mu_);
  db_ = std::move(open);
  return absl::OkStatus();
}

absl::Status RocksStore::Write(Batch& batch) {
  const std::shared_ptr<const OpenDb> db = Current();
  if (db == nullptr) return absl::UnavailableError("the store is closed");
  rocksdb::WriteOptions options;
  options.sync = true;  // The promise of the house; there is no switch.
  return ToStatus(db->db->Write(options, &static_cast<RocksBatch&>(batch).batch()), "commit");
}

void RocksStore::DropFiles(Family family, absl::string_view from, absl::string_view to) {
  const std::shared_ptr<const OpenDb> db = Current();
  if (db == nullptr) return;
  const rocksdb::Slice begin = Slice(from), end = Slice(to);
  rocksdb::DeleteFilesInRange(db->db.get(), db->of(family), &begin, &end, false).PermitUncheckedError();
}

// Merges deletions, those in memory too, into the files below them: a blob file whose last body is gone goes with them.
absl::Status RocksStore::Reclaim(std::atomic<bool>* cancel) {
  const std::shared_ptr<const OpenDb> db = Current();
  if (db == nullptr) return absl::UnavailableError("the store is closed");
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.canceled = cancel;
  return ToStatus(db->db->CompactRange(options, db->of(Family::kBody), nullptr, nullptr), "compact");
}

// Lets go of the open database and waits until the last reader has. Those who take long are asked to end.
absl::Status RocksStore::Release() {
  std::shared_ptr<OpenDb> old;
  {
    absl::MutexLock lock(&mu_);
    old = std::move(db_);
    db_ = nullptr;
  }
  if (old == nullptr) return absl::OkStatus();
  old->leaving = true;
  old->db->DisableManualCompaction();  // Ends one that runs.
  for (const absl::Time end = absl::Now() + kReadersMayTake; old.use_count() > 1;
       absl::SleepFor(absl::Milliseconds(5))) {
    if (absl::Now() < end) continue;
    old->db->EnableManualCompaction();
    old->leaving = false;
    absl::MutexLock lock(&mu_);
    db_ = std::move(old);
    return absl::UnavailableError("a reader holds the store");
  }
  return absl::OkStatus();
}

absl::Status RocksStore::Heal(bool reopen) {
  if (!reopen) {
    const std::shared_ptr<const OpenDb> db = Current();
    if (db != nullptr && db->db->Resume().ok()) {
      watch_->Clear();
      return absl::OkStatus();
    }
  }
  RETURN_IF_ERROR(Release());
  return Open();
}

absl::Status RocksStore::Close() {
  if (const std::shared_ptr<const OpenDb> db = Current(); db != nullptr && !options_.read_only) {
    // Makes the next start quick; what cannot be flushed is still in the log.
    const rocksdb::Status flushed = db->db->Flush(rocksdb::FlushOptions(), db->handles);
    if (!flushed.ok()) log::Warn("store_flush_failed", {{"error", flushed.ToString()}});
  }
  return Release();
}

// A folder of another owner would open today and break at the next start: say so now.
absl::Status ProbeFolder(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return absl::PermissionDeniedError(absl::StrCat("cannot make ", dir, ": ", error.message()));
  const std::string probe = dir + "/.probe";
  std::FILE* file = std::fopen(probe.c_str(), "w");
  if (file == nullptr)
    return absl::PermissionDeniedError(absl::StrCat("cannot write in ", dir, ": ", std::strerror(errno)));
  std::fclose(file);
  ::unlink(probe.c_str());
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (entry.is_regular_file(error) && ::access(entry.path().c_str(), R_OK | W_OK) != 0) {
      return absl::PermissionDeniedError(
          absl::StrCat("cannot write ", entry.path().string(), ": ", std::strerror(errno)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenRocksStore(RocksOptions options) {
  if (!options.read_only) RETURN_IF_ERROR(ProbeFolder(options.dir));
  auto store = std::make_unique<RocksStore>(std::move(options));
  RETURN_IF_ERROR(store->Open());
  return store;
}

}  // namespace hikyaku::queue
