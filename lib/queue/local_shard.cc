#include "lib/queue/local_shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/log.h"
#include "lib/base/message_id.h"
#include "lib/base/status_macros.h"
#include "lib/queue/checker.h"
#include "lib/queue/deadlines.h"
#include "lib/queue/engine.h"
#include "lib/queue/enqueue.h"
#include "lib/queue/keys.h"
#include "lib/queue/local_leases.h"
#include "lib/queue/operator.h"
#include "lib/queue/queries.h"
#include "lib/queue/reclaim.h"
#include "lib/queue/retention.h"
#include "lib/queue/rocks_store.h"
#include "lib/queue/sts_policies.h"
#include "lib/queue/tls_reporter.h"

namespace hikyaku::queue {
namespace {

constexpr std::uint32_t kFormatVersion = 1;

// How often the maintenance thread looks: the delay of a scheduled delivery beyond its time.
constexpr absl::Duration kTick = absl::Milliseconds(25);
constexpr int kTicksPerSample = 20;  // About half a second.
constexpr int kTicksPerRound = 40;   // About a second: retention and reclaim.

// The disk is measured again when bodies of this share of what is left came in since the last time.
constexpr std::uint64_t kShareOfSpare = 8;

// Looked at in one tick, for each a step of memory: under the mutex for less than a millisecond.
constexpr std::size_t kSweepItems = 2000;
constexpr std::size_t kSweepLanes = 500;

class LocalSubscription : public EventSubscription {
 public:
  LocalSubscription(std::shared_ptr<Engine> engine, std::unique_ptr<EventSubscription> inner)
      : owner_(std::move(engine)), inner_(std::move(inner)) {}

 private:
  const std::shared_ptr<Engine> owner_;
  const std::unique_ptr<EventSubscription> inner_;  // Goes first.
};

// The folder must be ours; a new one is given its name.
absl::Status CheckIdentity(Store& store, const Options& options, std::int64_t now_micros) {
  ASSIGN_OR_RETURN(const std::optional<std::string> stored, store.Get(Family::kMeta, keys::kShard));
  storage::v1::ShardIdentity identity;
  if (!stored.has_value()) {
    identity.set_format_version(kFormatVersion);
    identity.set_name(options.name);
    identity.set_created_micros(now_micros);
    const auto batch = store.NewBatch();
    batch->Put(Family::kMeta, keys::kShard, identity.SerializeAsString());
    return store.Write(*batch);
  }
  if (!identity.ParseFromString(*stored)) return absl::DataLossError("the shard's identity record is damaged");
  if (identity.format_version() > kFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the queue in ", options.data_dir, " has format ",
                                                      identity.format_version(), ", written by a newer version"));
  }
  if (identity.name() != options.name) {
    return absl::FailedPreconditionError(absl::StrCat("the queue in ", options.data_dir, " belongs to shard \"",
                                                      identity.name(), "\", not to \"", options.name, "\""));
  }
  return absl::OkStatus();
}

absl::StatusOr<storage::v1::Counters> ReadCounters(Store& store) {
  storage::v1::Counters counters;
  ASSIGN_OR_RETURN(const std::optional<std::string> stored, store.Get(Family::kMeta, keys::kCounters));
  if (stored.has_value() && !counters.ParseFromString(*stored)) return absl::DataLossError("the counters are damaged");
  if (counters.next_sequence() == 0) counters.set_next_sequence(1);
  return counters;
}

template <typename Response>
auto Wrap(Done<Response> done) {
  return [done = std::move(done)](absl::Status status) mutable {
    if (status.ok()) {
      std::move(done)(Response());
    } else {
      std::move(done)(status);
    }
  };
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalShard>> LocalShard::Open(Options options, Clock& clock) {
  const std::string folder = options.data_dir + "/queue";
  if (!options.measure_disk) {
    options.measure_disk = [folder] { return MeasureDisk(folder); };
  }
  std::unique_ptr<Store> store;
  if (options.open_store) {
    ASSIGN_OR_RETURN(store, options.open_store(folder));
  } else {
    ASSIGN_OR_RETURN(store, OpenRocksStore({folder, options.write_buffer, options.block_cache, false}));
  }
  RETURN_IF_ERROR(CheckIdentity(*store, options, absl::ToUnixMicros(clock.Now())));
  ASSIGN_OR_RETURN(storage::v1::Counters counters, ReadCounters(*store));
  auto engine = std::make_shared<Engine>(std::move(options), clock, std::move(store), std::move(counters));
  engine->metrics.ContinueFrom(engine->committer.counters());
  std::unique_ptr<LocalShard> shard(new LocalShard(std::move(engine)));
  RETURN_IF_ERROR(shard->Recover());
  shard->Sample();
  shard->engine_->committer.Start();
  shard->ticked_micros_ = shard->engine_->NowMicros();
  if (!shard->engine_->options.stepped) {
    shard->maintenance_ = std::thread([raw = shard.get()] { raw->Maintain(); });
  }
  shard->scrape_ = std::make_unique<metrics::ScrapeHook>([raw = shard.get()] { raw->Expose(); });
  return shard;
}

LocalShard::LocalShard(std::shared_ptr<Engine> engine)
    : engine_(std::move(engine)),
      retention_(std::make_unique<Retention>(*engine_)),
      reclaimer_(std::make_unique<Reclaimer>(*engine_)),
      tls_reporter_(std::make_unique<TlsReporter>(*engine_)) {
  oldest_.fill(kNever);
}

LocalShard::~LocalShard() { Stop(); }

// What memory must know before the first operation: how much each domain has, what is parked, who is suspended. Reads
// keys only; what is due comes by the poll.
absl::Status LocalShard::Recover() {
  absl::MutexLock lock(&engine_->mu);
  Schedule& schedule = engine_->schedule;
  const auto due = engine_->store->Scan(Family::kDue, "", "");
  for (; due->Valid(); due->Next()) {
    const auto parts = keys::ParseDue(due->key());
    if (!parts.has_value()) continue;
    schedule.Opened(keys::DeliveryDomain(parts->delivery_key));
    ++engine_->open;
  }
  RETURN_IF_ERROR(due->status());
  const auto parked = engine_->store->Scan(Family::kParked, "", "");
  while (parked->Valid()) {
    const std::string key(parked->key());
    const auto parts = keys::ParseParked(key);
    if (!parts.has_value()) return absl::DataLossError("a key in `parked` is damaged");
    if (parts->priority_class >= kPriorityClasses) return absl::DataLossError("a key in `parked` is damaged");
    schedule.NoteParked(schedule.Get(parts->domain), parts->priority_class, parts->tenant, key);
    parked->Seek(keys::PrefixEnd(keys::ParkedPrefix(parts->domain, parts->priority_class, parts->tenant)));
  }
  RETURN_IF_ERROR(parked->status());
  const auto suspended = engine_->store->Scan(Family::kMeta, keys::kSuspended, keys::PrefixEnd(keys::kSuspended));
  for (; suspended->Valid(); suspended->Next()) {
    schedule.Suspend(schedule.Get(suspended->key().substr(keys::kSuspended.size())), true);
  }
  if (engine_->open > 0)
    log::Info("queue_recovered", {{"shard", engine_->options.name}, {"deliveries", engine_->open}});
  return suspended->status();
}

// The clock of leases runs on meanwhile, so that a worker that has died is not waited for.
void LocalShard::WaitForLeases(absl::Duration patience) {
  if (patience <= absl::ZeroDuration()) return;
  Engine& engine = *engine_;
  const auto none = [&engine]() ABSL_SHARED_LOCKS_REQUIRED(engine.mu) {
    return std::all_of(std::begin(engine.leased), std::end(engine.leased),
                       [](std::uint64_t count) { return count == 0; });
  };
  absl::MutexLock lock(&engine.mu);
  if (engine.mu.AwaitWithTimeout(absl::Condition(&none), patience)) return;
  log::Warn("leases_left_at_stop", {{"shard", engine.options.name}});
}

void LocalShard::Stop(absl::Duration patience) {
  {
    absl::MutexLock lock(&mu_);
    if (std::exchange(stopping_, true)) {
      mu_.Await(absl::Condition(&stopped_));
      return;
    }
  }
  engine_->gate.Set(Gate::kStopping, "stopping");
  WaitForLeases(CanRecord() ? patience : std::min(patience, kBrokenPatience));
  {
    absl::MutexLock lock(&mu_);
    closing_ = true;
  }
  scrape_ = nullptr;
  if (maintenance_.joinable()) maintenance_.join();
  engine_->stopping = true;
  reclaimer_->Stop();
  std::vector<std::shared_ptr<Stream>> streams;
  {
    absl::MutexLock lock(&engine_->mu);
    streams = engine_->leases.All();
  }
  for (const auto& stream : streams) engine_->CloseStream(*stream, absl::UnavailableError("the shard is stopping"));
  engine_->readers.Stop();
  engine_->committer.Stop();
  engine_->askers.Stop();
  engine_->housekeepers.Stop();
  engine_->feed.Stop();
  if (const absl::Status closed = engine_->store->Close(); !closed.ok()) {
    log::Warn("store_close_failed", {{"error", closed}});
  }
  absl::MutexLock lock(&mu_);
  stopped_ = true;
}

void LocalShard::Reconfigure(std::optional<absl::Duration> lifetime, std::optional<std::uint32_t> domain_concurrency,
                             std::optional<ReportPolicy> reports) {
  if (reports.has_value()) engine_->SetReports(*std::move(reports));
  if (lifetime.has_value()) engine_->lifetime_micros = absl::ToInt64Microseconds(*lifetime);
  if (domain_concurrency.has_value()) {
    absl::MutexLock lock(&engine_->mu);
    engine_->schedule.SetDomainConcurrency(*domain_concurrency);
  }
  engine_->Dispatch();
}

void LocalShard::Maintain() {
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&closing_), kTick)) return;
    }
    MaintainOnce();
  }
}

void LocalShard::MaintainOnce() {
  const std::int64_t longest_step = absl::ToInt64Microseconds(engine_->options.lease_timeout / 2);
  const std::int64_t now = engine_->NowMicros();
  engine_->lease_micros += std::clamp<std::int64_t>(now - std::exchange(ticked_micros_, now), 0, longest_step);
  const std::uint32_t tick = tick_++;
  engine_->Poll();
  ExpireSilentStreams();
  if (tick % kTicksPerSample == 0 || DiskFillsFast()) Sample();
  Sweep();
  if (tick % kTicksPerRound == 0) {
    retention_->Tick();
    reclaimer_->Tick();
    tls_reporter_->Tick();
  }
  engine_->Dispatch();
}

bool LocalShard::Waits(Part part) const {
  switch (part) {
    case Part::kCommit: return engine_->committer.Waits();
    case Part::kRead: return engine_->readers.Waits();
    case Part::kAsk: return engine_->askers.Waits();
    case Part::kKeepHouse: return engine_->housekeepers.Waits();
    case Part::kMaintain: return true;
  }
  return false;
}

void LocalShard::Step(Part part) {
  switch (part) {
    case Part::kCommit: return engine_->committer.Step();
    case Part::kRead: return engine_->readers.Step();
    case Part::kAsk: return engine_->askers.Step();
    case Part::kKeepHouse: return engine_->housekeepers.Step();
    case Part::kMaintain: return MaintainOnce();
  }
}

void LocalShard::Sample() {
  const Options& options = engine_->options;
  const absl::StatusOr<DiskSpace> disk = options.measure_disk();
  const std::uint64_t memory = options.memory_limit > 0 ? MeasureMemory() : 0;
  engine_->gate.Judge(disk, memory, {options.min_free_disk, options.min_free_inodes, options.memory_limit});
  sampled_taken_ = engine_->taken_bytes;
  spare_disk_ = disk.ok() && disk->free_bytes > options.min_free_disk ? disk->free_bytes - options.min_free_disk : 0;
  if (disk.ok()) engine_->metrics.free_disk.Set(static_cast<double>(disk->free_bytes));
  engine_->committer.Check();
}

// A second is long where little is left: a body is written to the log and to its file.
bool LocalShard::DiskFillsFast() const {
  return engine_->gate.open() && engine_->taken_bytes - sampled_taken_ > spare_disk_ / kShareOfSpare;
}

// A step over what waits in memory: its expiry, how old the oldest is, lanes that have room again, rests that are over.
void LocalShard::Sweep() {
  const std::int64_t now = engine_->NowMicros();
  std::vector<ItemPtr> over;
  bool round_ends = false;
  {
    absl::MutexLock lock(&engine_->mu);
    engine_->schedule.EndPauses(engine_->lease_micros);
    engine_->schedule.NoteRefills(kSweepLanes);
    const std::size_t end = std::min(swept_ + kSweepItems, engine_->round.size());
    for (; swept_ < end; ++swept_) {
      Item& item = *engine_->round[swept_];
      oldest_[item.priority_class] = std::min(oldest_[item.priority_class], item.accepted);
      if (item.state == ItemState::kReady && item.flow != nullptr && now >= EndMicros(item)) {
        over.push_back(*item.place);
      }
    }
    round_ends = swept_ >= engine_->round.size();
  }
  if (round_ends) {
    swept_ = 0;
    for (int i = 0; i < kPriorityClasses; ++i) {
      engine_->metrics.oldest_age[i]->Set(std::max<std::int64_t>(now - oldest_[i], 0) / 1e6);
      oldest_[i] = kNever;
    }
  }
  if (!over.empty()) engine_->committer.Push(MakeExpire(*engine_, std::move(over), /*owned=*/false));
}

void LocalShard::ExpireSilentStreams() {
  const absl::Duration clock = engine_->LeaseClock();
  absl::MutexLock lock(&engine_->mu);
  for (const ItemPtr& item : engine_->leases.TakeFromSilent(clock - engine_->options.lease_timeout)) {
    engine_->TakeBack(item, /*lost=*/true);
  }
}

void LocalShard::Expose() {
  Metrics& metrics = engine_->metrics;
  metrics.gate_closed.Set(engine_->gate.open() ? 0 : 1);
  const storage::v1::Counters counters = engine_->committer.counters();
  metrics.recipients_queued.Set(static_cast<double>(counters.accepted() + counters.moved_in() - counters.delivered() -
                                                    counters.bounced() - counters.expired() - counters.cancelled() -
                                                    counters.suppressed() - counters.moved_out()));
  absl::MutexLock lock(&engine_->mu);
  const std::uint64_t held = engine_->schedule.held();
  metrics.scheduled.Set(static_cast<double>(engine_->open > held ? engine_->open - held : 0));
  metrics.domains.Set(static_cast<double>(engine_->schedule.domains().size()));
  for (int i = 0; i < kPriorityClasses; ++i) {
    metrics.ready[i]->Set(static_cast<double>(engine_->schedule.ready(i)));
    metrics.leased[i]->Set(static_cast<double>(engine_->leased[i]));
  }
}

absl::string_view LocalShard::name() const { return engine_->options.name; }

void LocalShard::Enqueue(internal::v1::EnqueueRequest request, Done<internal::v1::EnqueueResponse> done) {
  absl::Status status = ValidateEnqueue(request);
  if (status.ok()) status = engine_->gate.Check();
  if (status.ok() && engine_->pending_bytes + request.body().size() > engine_->options.pending_bytes) {
    status = absl::ResourceExhaustedError("too much mail waits for the disk");
  }
  if (!status.ok()) return std::move(done)(status);
  engine_->committer.Push(MakeEnqueue(*engine_, std::move(request), std::move(done)));
}

void LocalShard::Claim(internal::v1::ClaimRequest request, Done<internal::v1::ClaimResponse> done) {
  absl::Status status = ValidateClaim(request);
  if (status.ok()) status = engine_->gate.Check();
  if (!status.ok()) return std::move(done)(status);
  engine_->committer.Push(MakeClaim(*engine_, std::move(request), std::move(done)));
}

std::unique_ptr<LeaseStream> LocalShard::OpenLeases(std::string worker, LeaseListener* listener) {
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&engine_->mu);
    stream = engine_->leases.Open(std::move(worker), listener, engine_->LeaseClock());
  }
  bool stopping;
  {
    absl::MutexLock lock(&mu_);
    stopping = stopping_;
  }
  if (stopping) engine_->CloseStream(*stream, absl::UnavailableError("the shard is stopping"));
  return MakeLocalLeases(engine_, std::move(stream));
}

void LocalShard::GetMessage(v1::GetMessageRequest request, Done<v1::GetMessageResponse> done) {
  engine_->askers.Push([this, request = std::move(request), done = std::move(done)]() mutable {
    std::move(done)(QueryMessage(*engine_, request));
  });
}

std::unique_ptr<EventSubscription> LocalShard::WatchEvents(internal::v1::WatchShardRequest request, EventSink sink,
                                                           absl::AnyInvocable<void(absl::Status)> closed) {
  return std::make_unique<LocalSubscription>(engine_, engine_->feed.Watch(request, std::move(sink), std::move(closed)));
}

void LocalShard::ListQueues(v1::ListQueuesRequest request, Done<v1::ListQueuesResponse> done) {
  engine_->askers.Push([this, request = std::move(request), done = std::move(done)]() mutable {
    std::move(done)(QueryQueues(*engine_, request));
  });
}

void LocalShard::ListDeliveries(v1::ListDeliveriesRequest request, Done<v1::ListDeliveriesResponse> done) {
  engine_->askers.Push([this, request = std::move(request), done = std::move(done)]() mutable {
    std::move(done)(QueryDeliveries(*engine_, request));
  });
}

void LocalShard::Flush(v1::FlushRequest request, Done<v1::FlushResponse> done) {
  if (!request.message_id().empty() && !MessageId::FromText(request.message_id()).has_value()) {
    return std::move(done)(absl::InvalidArgumentError("message_id: 26 characters are expected"));
  }
  engine_->committer.Push(MakeFlush(*engine_, request, std::move(done)));
}

void LocalShard::Suspend(v1::SuspendRequest request, Done<v1::SuspendResponse> done) {
  if (request.domain().empty()) return std::move(done)(absl::InvalidArgumentError("domain is empty"));
  engine_->committer.Push(MakeSuspend(*engine_, request.domain(), request.reason(), true, Wrap(std::move(done))));
}

void LocalShard::Resume(v1::ResumeRequest request, Done<v1::ResumeResponse> done) {
  if (request.domain().empty()) return std::move(done)(absl::InvalidArgumentError("domain is empty"));
  engine_->committer.Push(MakeSuspend(*engine_, request.domain(), "", false, Wrap(std::move(done))));
}

void LocalShard::Purge(v1::PurgeRequest request, Done<v1::PurgeResponse> done) {
  if (request.domain().empty()) return std::move(done)(absl::InvalidArgumentError("domain is empty"));
  engine_->committer.Push(MakePurge(*engine_, request, std::move(done)));
}

void LocalShard::CheckQueue(Done<v1::CheckQueueResponse> done) {
  engine_->housekeepers.Push([this, done = std::move(done)]() mutable {
    const auto view = engine_->store->Snapshot();
    if (view == nullptr) return std::move(done)(absl::UnavailableError("the store is being reopened"));
    auto checked = CheckView(*view, engine_->options.name, engine_->stopping);
    if (!checked.ok()) return std::move(done)(checked.status());
    v1::CheckQueueResponse response;
    *response.add_shards() = *std::move(checked);
    std::move(done)(std::move(response));
  });
}

void LocalShard::SendTlsReports(v1::SendTlsReportsRequest request, Done<v1::SendTlsReportsResponse> done) {
  if (absl::Status status = engine_->gate.Check(); !status.ok()) return std::move(done)(status);
  tls_reporter_->SendNow(std::move(request), std::move(done));
}

void LocalShard::GetStsPolicy(internal::v1::GetStsPolicyRequest request, Done<storage::v1::StsPolicy> done) {
  engine_->askers.Push([this, request = std::move(request), done = std::move(done)]() mutable {
    std::move(done)(QuerySts(*engine_, request));
  });
}

void LocalShard::PutStsPolicy(storage::v1::StsPolicy policy, Done<internal::v1::PutStsPolicyResponse> done) {
  absl::Status status = ValidateSts(policy);
  if (status.ok()) status = engine_->gate.Check();
  if (!status.ok()) return std::move(done)(status);
  engine_->committer.Push(MakePutSts(*engine_, std::move(policy), std::move(done)));
}

std::string LocalShard::NotReady() const { return engine_->gate.Reason(); }

bool LocalShard::CanRecord() const { return !engine_->gate.Closed(Gate::kStore); }

}  // namespace hikyaku::queue
