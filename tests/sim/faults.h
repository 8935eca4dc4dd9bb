// What goes wrong in a run. A seed uses a few kinds of faults only, some of them often: so rare meetings of two of them
// happen in some run.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_FAULTS_H_
#define HIKYAKU_TESTS_SIM_FAULTS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/nodes.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

// All that can be broken.
struct Cluster {
  World& world;
  Books& books;
  MailHosts& hosts;
  Shards& shards;
  std::vector<std::unique_ptr<WorkerNode>>& workers;
  std::vector<std::unique_ptr<FrontEnd>>& front_ends;
};

class Faults {
 public:
  // No clock of a shard is set before `since` plus a while: it has been set not long ago.
  Faults(Cluster cluster, absl::Duration since);

  // Breaks things now and then until `end`.
  void Start(absl::Duration end);

  // A shard counts a jump of its clock as half a lease at most, so that one never ends a lease. Two in a row could.
  static constexpr absl::Duration kBetweenJumps = absl::Seconds(30);

  // Everything works again, and what is down comes up.
  void Heal();

  bool wrong_clocks() const { return wrong_clocks_; }

 private:
  struct Kind {
    const char* name;
    std::function<void()> strike;
  };

  void Next(absl::Duration end);
  // Something that ends by itself after a while.
  void For(absl::Duration time, std::function<void()> undo);
  ShardNode& AnyShard() { return *cluster_.shards[random().Below(cluster_.shards.size())]; }
  WorkerNode& AnyWorker() { return *cluster_.workers[random().Below(cluster_.workers.size())]; }
  FrontEnd& AnyFrontEnd() { return *cluster_.front_ends[random().Below(cluster_.front_ends.size())]; }
  Link* AnyLink(bool worker);
  Random& random() { return cluster_.world.random; }
  absl::Duration Some(double low, double high) { return random().Between(absl::Seconds(low), absl::Seconds(high)); }

  void AddProcessFaults();
  void AddNetworkFaults();
  void AddDiskFaults();
  void AddHostFaults();
  void AddTlsFaults();
  void AddDaneFaults();
  void AddOperatorFaults();
  void AddSigningFaults();
  void StrikeHost();
  void StrikeTls(HostFaults& faults);
  void StrikePolicyHost(int domain);
  int AnyHostWithTlsa();
  void StrikeTlsa(int host);
  void SetClock();
  void ResumeAll(int times);

  Cluster cluster_;
  std::vector<Kind> kinds_;
  absl::Duration pause_;
  bool healed_ = false;
  bool wrong_clocks_ = false;
  std::vector<absl::Duration> clock_set_;  // Of each shard: when last.
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_FAULTS_H_
