#include "tests/sim/simulation.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
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
  if (random.Chance(0.5)) options.reports.delay_after = random.Between(absl::Seconds(5), absl::Seconds(60));
  return options;
}

}  // namespace

Report Simulate(std::uint64_t seed, Mutant::Kind mutant, bool print) {
  log::SetLevel(log::Level::kOff);
  World world(seed, print);
  Books books(world);
  MailHosts hosts(world, books, mutant);
  const absl::Duration lifetime = world.random.Chance(0.3) ? absl::Seconds(60) : absl::Minutes(30);
  const queue::Options options = ShardOptions(world.random, lifetime);
  Shards shards;
  std::vector<std::unique_ptr<WorkerNode>> workers;
  std::vector<std::unique_ptr<FrontEnd>> front_ends;
  for (int i = 0; i < kShards; ++i) {
    shards.push_back(std::make_unique<ShardNode>(world, books, i, options));
    shards.back()->disk.mutant = mutant;
    shards.back()->Start();
  }
  for (int i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<WorkerNode>(world, books, hosts, shards, i, mutant));
    workers.back()->Start();
  }
  for (int i = 0; i < kFrontEnds; ++i) {
    front_ends.push_back(std::make_unique<FrontEnd>(world, books, shards, i, mutant));
    front_ends.back()->Start();
  }
  Clients clients(world, books, front_ends);
  Faults faults({world, books, hosts, shards, workers, front_ends});

  const absl::Duration time = world.random.Between(absl::Seconds(20), absl::Seconds(90));
  clients.Start(20 + static_cast<int>(world.random.Below(40)), time);
  faults.Start(time);
  world.RunUntil(time, [] { return false; });
  faults.Heal();
  const auto empty = [&] {
    return clients.open() == 0 && std::all_of(shards.begin(), shards.end(), [](const auto& shard) {
             return shard->up() && shard->disk.size(queue::Family::kDelivery) == 0;
           });
  };
  if (!world.RunUntil(time + kPatience, empty)) books.Problem("stuck: the queue does not run empty");
  // What is on its way to disk arrives.
  world.RunUntil(world.now() + absl::Seconds(1), [] { return false; });

  Report report;
  report.seed = seed;
  report.virtual_time = world.now();
  workers.clear();
  front_ends.clear();
  std::vector<SimDisk*> disks;
  for (const auto& shard : shards) disks.push_back(&shard->disk);
  books.Check(disks, {lifetime, options.reports.delay_after, faults.wrong_clocks()});
  shards.clear();
  report.counts = books.counts();
  report.problems = books.problems();
  report.trace_hash = world.trace_hash();
  report.events = world.events();
  return report;
}

}  // namespace hikyaku::sim
