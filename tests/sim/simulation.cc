#include "tests/sim/simulation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/queue/keys.h"
#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/mail_hosts.h"
#include "tests/sim/nodes.h"
#include "tests/sim/secrets.h"
#include "tests/sim/shard_node.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {
namespace {

constexpr int kShards = 3;
constexpr int kWorkers = 2;
constexpr int kFrontEnds = 2;

// When all works again, everything must have ended after so long: the longest retry, a lease, a clock that was set back
// by five minutes, and a few slow attempts.
constexpr absl::Duration kPatience = absl::Minutes(15);

queue::Options ShardOptions(Random& random, absl::Duration lifetime) {
  queue::Options options;
  options.lifetime = lifetime;
  options.retry = {absl::Seconds(2), absl::Seconds(20), 0.2};
  options.lease_timeout = absl::Seconds(10);
  options.domain_concurrency = static_cast<std::uint32_t>(random.Chance(0.3) ? 1 : random.Chance(0.3) ? 2 : 20);
  // A narrow window parks what waits.
  if (random.Chance(0.4)) {
    options.window = 4;
    options.domain_window = 2;
  }
  if (random.Chance(0.4)) options.hot_bodies = random.Chance(0.5) ? 0 : 4 << 10;
  if (random.Chance(0.3)) options.leased_bodies = 64 << 10;
  options.reports.hostname = kSignedDomain;
  options.reports.from = absl::StrCat("MAILER-DAEMON@", kSignedDomain);
  options.reports.tls.from = absl::StrCat("tls-reports@", kSignedDomain);
  if (random.Chance(0.5)) options.reports.delay_after = random.Between(absl::Seconds(5), absl::Seconds(60));
  return options;
}

// After the end of a day, when the last report on it is due.
constexpr absl::Duration kLastReports = absl::Hours(4);
constexpr absl::Duration kDay = absl::Hours(24);

// The cluster with all that it lives in.
class Run {
 public:
  Run(std::uint64_t seed, Mutant::Kind mutant, bool print);

  void Day();
  void Night();
  Report Finish(std::uint64_t seed);

 private:
  void Break(int mails, absl::Duration time);
  void Settle();
  bool Empty() const;
  bool Told() const;

  World world_;
  Books books_;
  MailHosts hosts_;
  const absl::Duration lifetime_;
  const queue::Options options_;
  Shards shards_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  std::vector<std::unique_ptr<FrontEnd>> front_ends_;
  std::unique_ptr<Clients> clients_;
  std::vector<std::unique_ptr<Faults>> faults_;
};

Run::Run(std::uint64_t seed, Mutant::Kind mutant, bool print)
    : world_(seed, print),
      books_(world_),
      hosts_(world_, books_, mutant),
      lifetime_(world_.random.Chance(0.3) ? absl::Seconds(60) : absl::Minutes(30)),
      options_(ShardOptions(world_.random, lifetime_)) {
  for (int i = 0; i < kShards; ++i) {
    shards_.push_back(std::make_unique<ShardNode>(world_, books_, i, options_));
    shards_.back()->disk.mutant = mutant;
    shards_.back()->Start();
  }
  for (int i = 0; i < kWorkers; ++i) {
    workers_.push_back(std::make_unique<WorkerNode>(world_, books_, hosts_, shards_, i, mutant));
    workers_.back()->Start();
  }
  for (int i = 0; i < kFrontEnds; ++i) {
    front_ends_.push_back(std::make_unique<FrontEnd>(world_, books_, shards_, i, mutant));
    front_ends_.back()->Start();
  }
  clients_ = std::make_unique<Clients>(world_, books_, front_ends_);
}

// Mail and faults for `time`; then everything is healed.
void Run::Break(int mails, absl::Duration time) {
  const absl::Duration clocks_set = faults_.empty() ? -absl::Hours(1) : world_.now();
  const Cluster cluster{world_, books_, hosts_, shards_, workers_, front_ends_};
  faults_.push_back(std::make_unique<Faults>(cluster, clocks_set));
  const absl::Duration end = world_.now() + time;
  clients_->Start(mails, time);
  faults_.back()->Start(end);
  world_.RunUntil(end, [] { return false; });
  faults_.back()->Heal();
}

bool Run::Empty() const {
  return clients_->open() == 0 && std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) {
           return shard->up() && shard->disk.size(queue::Family::kDelivery) == 0;
         });
}

// Of the days that ended more than four hours ago, reports on TLS have told all.
bool Run::Told() const {
  const std::int64_t since = absl::ToUnixMicros(world_.wall() - kLastReports);
  const std::string from(queue::keys::kTlsReports);
  const std::string to = queue::keys::TlsReportDay(queue::keys::Day(since));
  return std::all_of(shards_.begin(), shards_.end(), [&](const auto& shard) {
    const SimDisk::Map& meta = *shard->disk.families[static_cast<int>(queue::Family::kMeta)];
    return meta.lower_bound(from) == meta.lower_bound(to);
  });
}

void Run::Settle() {
  const absl::Duration end = world_.now() + kPatience;
  if (!world_.RunUntil(end, [this] { return Told() && Empty(); })) {
    books_.Problem(Empty() ? "stuck: a report on TLS is not sent" : "stuck: the queue does not run empty");
  }
  // What is on its way to disk arrives.
  world_.RunUntil(world_.now() + absl::Seconds(1), [] { return false; });
}

void Run::Day() {
  const absl::Duration time = world_.random.Between(absl::Seconds(20), absl::Seconds(90));
  Break(20 + static_cast<int>(world_.random.Below(40)), time);
  Settle();
}

// Twice all clocks leap, first into the hours in which the reports on TLS of the day before are sent, then behind them.
void Run::Night() {
  const absl::Time midnight = absl::FromUnixSeconds(absl::ToUnixSeconds(World::kStart + kDay) / 86'400 * 86'400);
  const absl::Time ends[] = {midnight + world_.random.Between(absl::Minutes(10), absl::Hours(3)),
                             midnight + kLastReports + absl::Minutes(10)};
  for (const absl::Time end : ends) {
    // Clocks that were wrong have been set back.
    world_.RunUntil(world_.now() + Faults::kBetweenJumps, [] { return false; });
    world_.Leap(end - world_.wall());
    Break(static_cast<int>(world_.random.Below(8)), world_.random.Between(absl::Seconds(5), absl::Seconds(30)));
    Settle();
  }
}

Report Run::Finish(std::uint64_t seed) {
  Report report;
  report.seed = seed;
  report.virtual_time = world_.now();
  workers_.clear();
  front_ends_.clear();
  std::vector<SimDisk*> disks;
  for (const auto& shard : shards_) disks.push_back(&shard->disk);
  const bool wrong_clocks =
      std::any_of(faults_.begin(), faults_.end(), [](const auto& faults) { return faults->wrong_clocks(); });
  books_.Check(disks, {lifetime_, options_.reports.delay_after, wrong_clocks});
  clients_ = nullptr;
  faults_.clear();
  shards_.clear();
  report.counts = books_.counts();
  report.problems = books_.problems();
  report.trace_hash = world_.trace_hash();
  report.events = world_.events();
  return report;
}

}  // namespace

Report Simulate(std::uint64_t seed, Mutant::Kind mutant, bool print) {
  log::SetLevel(log::Level::kOff);
  Run run(seed, mutant, print);
  run.Day();
  run.Night();
  return run.Finish(seed);
}

}  // namespace hikyaku::sim
