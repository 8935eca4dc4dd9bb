#include "lib/delivery/worker.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/hash/hash.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/random.h"
#include "lib/delivery/attempt_report.h"
#include "lib/delivery/lease_session.h"
#include "lib/delivery/verdict.h"
#include "lib/metrics/metrics.h"
#include "lib/mta_sts/policies.h"
#include "lib/net/limit.h"
#include "lib/net/sleep.h"
#include "lib/net/task_group.h"

namespace hikyaku::delivery {
namespace {

// A domain's mail stays on one thread, where its connections are, until that thread has so much more to do than
// another one: then both work for it.
constexpr int kLaneSlack = 4;

// After the last attempt: how long to wait until the shards have recorded what was reported.
constexpr absl::Duration kRecordLimit = absl::Seconds(5);

metrics::Gauge& InFlightGauge() {
  return metrics::DeclareGauge("hikyaku_delivery_in_flight", "Attempts that run now.");
}

}  // namespace

class Worker::Impl {
 public:
  Impl(WorkerOptions options, std::vector<queue::Shard*> shards, Network network, net::IoPool& pool,
       dns::Resolver& resolver, Clock& clock);
  ~Impl();

  void Update(Network network);
  bool Stop(absl::Duration patience);
  void Cancel();
  bool ended() const { return attempts_.size() == 0 && control_.size() == 0; }
  std::size_t in_flight() const { return attempts_.size(); }
  std::size_t connected_shards() const;

 private:
  // One thread of the pool with the connections that live on it.
  struct Lane {
    Lane(Executor on, const PoolOptions& options, Clock& clock, net::TaskGroup& group)
        : executor(on), pool(options, clock, group, on) {}

    const Executor executor;
    ConnectionPool pool;
    std::atomic<int> in_flight{0};
  };

  // One shard and the stream to it that is open now.
  struct Link {
    queue::Shard* shard;
    mutable absl::Mutex mutex;
    std::shared_ptr<LeaseSession> session ABSL_GUARDED_BY(mutex);

    std::shared_ptr<LeaseSession> Current() const {
      absl::MutexLock lock(&mutex);
      return session;
    }
  };

  awaitable<void> KeepStream(Link& link);
  std::shared_ptr<LeaseSession> OpenStream(Link& link);
  void OnHeld(std::shared_ptr<HeldLease> held);
  awaitable<void> RunAttempt(std::shared_ptr<HeldLease> held, Lane& lane);
  awaitable<void> GiveBack(std::shared_ptr<HeldLease> held);
  void Finish(Attempt& attempt, Attempt::End end, HeldLease& held, absl::Time start);
  Lane& ChooseLane(const std::string& domain);
  std::shared_ptr<const Network> network() const;
  std::uint32_t CreditsPerShard() const;
  std::vector<std::shared_ptr<LeaseSession>> Sessions() const;
  bool WaitUntilEmpty(absl::Duration limit);

  const WorkerOptions options_;
  dns::Resolver& resolver_;
  Clock& clock_;
  std::atomic<bool> stopping_{false};
  bool stopped_ = false;

  mutable absl::Mutex network_mutex_;
  std::shared_ptr<const Network> network_ ABSL_GUARDED_BY(network_mutex_);

  net::TaskGroup control_;  // Streams, fetches, sweeping, QUIT: lives longer than the attempts.
  net::TaskGroup attempts_;
  mta_sts::Policies sts_{clock_, control_};
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Link>> links_;
  metrics::ScrapeHook gauge_;  // The last: gone before what it reads.
};

Worker::Impl::Impl(WorkerOptions options, std::vector<queue::Shard*> shards, Network network, net::IoPool& pool,
                   dns::Resolver& resolver, Clock& clock)
    : options_(std::move(options)),
      resolver_(resolver),
      clock_(clock),
      network_(std::make_shared<const Network>(std::move(network))),
      gauge_([this] { InFlightGauge().Set(static_cast<double>(attempts_.size())); }) {
  for (std::size_t i = 0; i < pool.size(); ++i) {
    lanes_.push_back(std::make_unique<Lane>(pool.At(i), options_.pool, clock_, control_));
    control_.Spawn(lanes_[i]->executor, lanes_[i]->pool.Sweep());
  }
  for (queue::Shard* shard : shards) {
    links_.push_back(std::make_unique<Link>());
    links_.back()->shard = shard;
  }
  for (std::size_t i = 0; i < links_.size(); ++i) {
    control_.Spawn(lanes_[i % lanes_.size()]->executor, KeepStream(*links_[i]));
  }
}

Worker::Impl::~Impl() { Stop(absl::ZeroDuration()); }

std::uint32_t Worker::Impl::CreditsPerShard() const {
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, options_.concurrency / links_.size()));
}

// ---- Streams. ----

awaitable<void> Worker::Impl::KeepStream(Link& link) {
  absl::Duration pause = options_.reopen_min;
  while (!stopping_.load()) {
    const net::TimePoint opened = net::SteadyClock::now();
    const std::shared_ptr<LeaseSession> session = OpenStream(link);
    const absl::Status ended = co_await session->WaitForEnd();
    if (!ended.ok()) co_return;
    session->Close();
    if (-net::LeftUntil(opened) > options_.reopen_max) pause = options_.reopen_min;
    const absl::Status slept = co_await net::Sleep(pause * (0.5 + RandomFraction() / 2));
    if (!slept.ok()) co_return;
    pause = std::min(pause * 2, options_.reopen_max);
  }
}

std::shared_ptr<LeaseSession> Worker::Impl::OpenStream(Link& link) {
  auto session = LeaseSession::Open(*link.shard, options_.name,
                                    [this](std::shared_ptr<HeldLease> held) { OnHeld(std::move(held)); });
  {
    absl::MutexLock lock(&link.mutex);
    link.session = session;
  }
  session->Grant(CreditsPerShard());
  return session;
}

// ---- Leases. ----

void Worker::Impl::OnHeld(std::shared_ptr<HeldLease> held) {
  Lane& lane = ChooseLane(held->lease().delivery.domain());
  if (stopping_.load()) {
    control_.Spawn(lane.executor, GiveBack(std::move(held)));
    return;
  }
  lane.in_flight.fetch_add(1, std::memory_order_relaxed);
  if (!attempts_.Spawn(lane.executor, RunAttempt(held, lane))) control_.Spawn(lane.executor, GiveBack(held));
}

Worker::Impl::Lane& Worker::Impl::ChooseLane(const std::string& domain) {
  const auto load = [](const std::unique_ptr<Lane>& lane) { return lane->in_flight.load(std::memory_order_relaxed); };
  const auto& home = lanes_[absl::HashOf(domain) % lanes_.size()];
  const auto& idlest =
      *std::min_element(lanes_.begin(), lanes_.end(), [&](const auto& a, const auto& b) { return load(a) < load(b); });
  return load(home) > load(idlest) + kLaneSlack ? *idlest : *home;
}

awaitable<void> Worker::Impl::GiveBack(std::shared_ptr<HeldLease> held) {
  if (held->Withdraw()) held->session().GiveBack(*held, /*more=*/false);
  co_return;
}

awaitable<void> Worker::Impl::RunAttempt(std::shared_ptr<HeldLease> held, Lane& lane) {
  const absl::Time start = clock_.Now();
  AttemptEnv env{options_.attempt, network(), resolver_, lane.pool, clock_, &sts_, &held->session().shard()};
  Attempt attempt(std::move(env), held->lease(), *held);
  const Attempt::End end = co_await attempt.Run();
  lane.in_flight.fetch_sub(1, std::memory_order_relaxed);
  Finish(attempt, end, *held, start);
}

void Worker::Impl::Finish(Attempt& attempt, Attempt::End end, HeldLease& held, absl::Time start) {
  const bool more = !stopping_.load();
  if (attempt.lease_lost() && more) CountLost();  // Else we gave it back ourselves.
  if (end == Attempt::End::kLost) {
    held.session().Forget(held, more);
    return;
  }
  if (end == Attempt::End::kGiveBack) {
    held.session().GiveBack(held, more);
    return;
  }
  const absl::Time now = clock_.Now();
  internal::v1::Verdict verdict;
  for (const outcome::Outcome& outcome : attempt.outcomes()) *verdict.add_outcomes() = ToProto(outcome, now);
  for (storage::v1::TlsSession& session : attempt.TakeTlsSessions()) {
    *verdict.add_tls_sessions() = std::move(session);
  }
  held.session().Report(held, std::move(verdict), more);
  ReportAttempt(held.lease().delivery, attempt, start, now);
}

// ---- Reload and stop. ----

void Worker::Impl::Update(Network network) {
  auto next = std::make_shared<const Network>(std::move(network));
  absl::MutexLock lock(&network_mutex_);
  network_ = std::move(next);
}

std::shared_ptr<const Network> Worker::Impl::network() const {
  absl::MutexLock lock(&network_mutex_);
  return network_;
}

std::size_t Worker::Impl::connected_shards() const {
  const auto sessions = Sessions();
  return static_cast<std::size_t>(
      std::count_if(sessions.begin(), sessions.end(), [](const auto& session) { return session->connected(); }));
}

void Worker::Impl::Cancel() {
  stopping_ = true;
  attempts_.Cancel();
  control_.Cancel();
}

bool Worker::Impl::Stop(absl::Duration patience) {
  if (std::exchange(stopped_, true)) return true;
  stopping_ = true;
  attempts_.Close();
  for (const auto& session : Sessions()) session->GiveBackUnbegun();
  const bool quiet = WaitUntilEmpty(patience);
  attempts_.Cancel();
  attempts_.Wait();
  WaitUntilEmpty(kRecordLimit);
  control_.Cancel();
  control_.Wait();
  for (const auto& link : links_) {
    absl::MutexLock lock(&link->mutex);
    if (link->session) link->session->Close();
    link->session.reset();
  }
  return quiet;
}

std::vector<std::shared_ptr<LeaseSession>> Worker::Impl::Sessions() const {
  std::vector<std::shared_ptr<LeaseSession>> sessions;
  for (const auto& link : links_) {
    if (auto session = link->Current()) sessions.push_back(std::move(session));
  }
  return sessions;
}

// Whether all verdicts are recorded within `limit`, real time: a stop must end also where the clock is a test's.
bool Worker::Impl::WaitUntilEmpty(absl::Duration limit) {
  const absl::Time deadline = Clock::System().Now() + limit;
  bool empty = true;
  for (const auto& session : Sessions()) empty &= session->WaitUntilEmpty(deadline - Clock::System().Now());
  return empty;
}

// ---- The public face. ----

Worker::Worker(WorkerOptions options, std::vector<queue::Shard*> shards, Network network, net::IoPool& pool,
               dns::Resolver& resolver, Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(shards), std::move(network), pool, resolver, clock)) {}

Worker::~Worker() = default;

void Worker::Update(Network network) { impl_->Update(std::move(network)); }

bool Worker::Stop(absl::Duration patience) { return impl_->Stop(patience); }

void Worker::Cancel() { impl_->Cancel(); }

bool Worker::ended() const { return impl_->ended(); }

std::size_t Worker::in_flight() const { return impl_->in_flight(); }

std::size_t Worker::connected_shards() const { return impl_->connected_shards(); }

}  // namespace hikyaku::delivery
