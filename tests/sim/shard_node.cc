#include "tests/sim/shard_node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hikyaku::sim {
namespace {

using Part = queue::LocalShard::Part;

constexpr Part kParts[] = {Part::kCommit, Part::kRead, Part::kAsk, Part::kKeepHouse};

}  // namespace

ShardNode::ShardNode(World& world, Books& books, int index, queue::Options options)
    : clock(world),
      world_(world),
      books_(books),
      index_(index),
      name_(absl::StrCat("q", index)),
      options_(std::move(options)) {
  options_.name = name_;
  options_.data_dir = name_;
  options_.stepped = true;
  options_.measure_disk = [this]() -> absl::StatusOr<queue::DiskSpace> {
    return queue::DiskSpace{disk.full ? 0 : std::uint64_t{1} << 40, 1'000'000};
  };
  disk.witness = [this](const SimDisk::Changes& changes, const SimDisk::Map& meta) {
    books_.tls_reports().NoteCommit(index_, changes, meta);
  };
  world_.OnEachStep([this] { Look(); });
}

ShardNode::~ShardNode() {
  if (life_ != nullptr) End(/*crash=*/true, absl::InfiniteDuration());
}

void ShardNode::Start() {
  if (life_ != nullptr) return;
  const std::uint64_t number = ++lives_;
  auto life = std::make_shared<Life>();
  options_.open_store = [this, number](const std::string&) -> absl::StatusOr<std::unique_ptr<queue::Store>> {
    // A write that kills: the process is gone before anybody hears of anything.
    return OpenSimStore(world_, disk, name_, [this, number] {
      if (life_ == nullptr || lives_ != number) return;
      life_->alive = false;
      world_.After(absl::ZeroDuration(), [this, number] {
        if (lives_ == number) Crash(world_.random.Between(absl::Milliseconds(100), absl::Seconds(10)));
      });
    });
  };
  auto shard = queue::LocalShard::Open(options_, clock);
  if (!shard.ok()) {
    world_.Trace(name_, " does not start: ", std::string(shard.status().message()));
    world_.After(absl::Seconds(1), [this, number] {
      if (lives_ == number) Start();
    });
    return;
  }
  world_.Trace(name_, " started");
  life->shard = *std::move(shard);
  life_ = std::move(life);
  std::fill(std::begin(stepping_), std::end(stepping_), false);
  Tick(number);
}

void ShardNode::Crash(absl::Duration down) { End(/*crash=*/true, down); }

void ShardNode::Restart(absl::Duration down) { End(/*crash=*/false, down); }

void ShardNode::End(bool crash, absl::Duration down) {
  if (life_ == nullptr) return;
  world_.Trace(name_, crash ? " crashed" : " stops");
  books_.NoteFault({Fault::kShardCrash, -1, index_, world_.now(), world_.now()});
  const std::shared_ptr<Life> life = std::exchange(life_, nullptr);
  const std::uint64_t number = lives_;
  if (crash) {
    // A dead process says nothing any more, and its store writes nothing: what its destructor does reaches nobody.
    life->alive = false;
    disk.Crash(world_);
    SimDisk kept = disk;
    disk.witness = nullptr;
    life->shard = nullptr;
    disk = std::move(kept);
  } else {
    life->shard->Stop();
    life->alive = false;
    life->shard = nullptr;
  }
  if (down == absl::InfiniteDuration()) return;  // The end of the run: nobody is there to hear of it.
  for (const auto& end : life->at_end) end();
  world_.After(down, [this, number] {
    if (lives_ == number) Start();
  });
}

// Whatever has work to do does it after a while, as its thread would.
void ShardNode::Look() {
  if (life_ == nullptr || !life_->alive) return;
  for (const Part part : kParts) {
    if (stepping_[static_cast<int>(part)] || !life_->shard->Waits(part)) continue;
    absl::Duration delay = world_.random.Between(absl::Microseconds(200), absl::Milliseconds(4));
    if (part == Part::kCommit && world_.random.Chance(slow_commits)) {
      delay = world_.random.Between(absl::Milliseconds(50), absl::Seconds(3));
    }
    StepSoon(part, delay);
  }
}

void ShardNode::StepSoon(Part part, absl::Duration delay) {
  stepping_[static_cast<int>(part)] = true;
  world_.After(delay, [this, part, number = lives_] {
    if (lives_ != number || life_ == nullptr || !life_->alive) return;
    stepping_[static_cast<int>(part)] = false;
    life_->shard->Step(part);
  });
}

void ShardNode::Tick(std::uint64_t life) {
  const absl::Duration pause = world_.random.Between(absl::Milliseconds(40), absl::Milliseconds(160));
  world_.After(pause, [this, life] {
    if (lives_ != life || life_ == nullptr) return;
    if (life_->alive) life_->shard->Step(Part::kMaintain);
    Tick(life);
  });
}

}  // namespace hikyaku::sim
