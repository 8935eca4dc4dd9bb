// One queue shard on its volume: the real LocalShard on a simulated disk, without threads, which can die at any moment
// and come back.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_SHARD_NODE_H_
#define HIKYAKU_TESTS_SIM_SHARD_NODE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/queue/local_shard.h"
#include "tests/sim/books.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

class ShardNode {
 public:
  // One life of the process. What came from it is not listened to after its end.
  struct Life {
    std::unique_ptr<queue::LocalShard> shard;
    bool alive = true;
    std::vector<std::function<void()>> at_end;  // Called when it ends: its connections break.
  };

  ShardNode(World& world, Books& books, int index, queue::Options options);
  ~ShardNode();

  // Opens the disk, and again after a while if that fails.
  void Start();
  // The process is gone, and with it all that was not synced. It comes back after `down`.
  void Crash(absl::Duration down);
  // The same in order: SIGTERM.
  void Restart(absl::Duration down);

  // Null: it is down.
  std::shared_ptr<Life> life() const { return life_; }
  bool up() const { return life_ != nullptr; }
  int index() const { return index_; }

  SimDisk disk;
  NodeClock clock;
  double slow_commits = 0;  // Of all: they take up to seconds.

 private:
  void Look();
  void StepSoon(queue::LocalShard::Part part, absl::Duration delay);
  void Tick(std::uint64_t life);
  void End(bool crash, absl::Duration down);

  World& world_;
  Books& books_;
  const int index_;
  const std::string name_;
  queue::Options options_;
  std::shared_ptr<Life> life_;
  std::uint64_t lives_ = 0;
  bool stepping_[4] = {};  // A step of this part is on its way.
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_SHARD_NODE_H_
