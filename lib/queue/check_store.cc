// The check of a folder that no shard has open. Declared in local_shard.h.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/queue/checker.h"
#include "lib/queue/keys.h"
#include "lib/queue/local_shard.h"
#include "lib/queue/rocks_store.h"

namespace hikyaku::queue {

absl::StatusOr<v1::ShardCheck> CheckStore(const std::string& data_dir) {
  RocksOptions options;
  options.dir = data_dir + "/queue";
  options.read_only = true;
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, OpenRocksStore(std::move(options)));
  storage::v1::ShardIdentity identity;
  ASSIGN_OR_RETURN(const std::optional<std::string> stored, store->Get(Family::kMeta, keys::kShard));
  if (stored.has_value()) identity.ParseFromString(*stored);
  const std::atomic<bool> never{false};
  return CheckView(*store->Snapshot(), identity.name(), never);
}

}  // namespace hikyaku::queue
