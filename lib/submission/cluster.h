// All shards of the installation, as this process reaches them.
//
// Threading: immutable; the shards are safe from every thread.
#ifndef HIKYAKU_LIB_SUBMISSION_CLUSTER_H_
#define HIKYAKU_LIB_SUBMISSION_CLUSTER_H_

#include <string>
#include <utility>
#include <vector>

#include "lib/queue/shard.h"
#include "lib/queue/shard_map.h"

namespace hikyaku::submission {

class Cluster {
 public:
  // At least one shard, no name twice. The shards must outlive the cluster.
  explicit Cluster(std::vector<queue::Shard*> shards) : map_(Names(shards)), shards_(std::move(shards)) {}

  const queue::ShardMap& map() const { return map_; }

  // shards()[i] is the one that map() calls i.
  const std::vector<queue::Shard*>& shards() const { return shards_; }

 private:
  static std::vector<std::string> Names(const std::vector<queue::Shard*>& shards) {
    std::vector<std::string> names;
    for (const queue::Shard* shard : shards) names.emplace_back(shard->name());
    return names;
  }

  queue::ShardMap map_;
  std::vector<queue::Shard*> shards_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_CLUSTER_H_
