// The invariants of a store, checked on one consistent view:
//   every delivery has exactly one next deadline: an entry in `due`, and if that is a parked one's, one in `parked`;
//   every entry of `due` and `parked` has a delivery; every delivery has its body; every body has a delivery;
//   accepted = delivered + bounced + expired + cancelled + suppressed + moved + queued, in recipients.
//
// Threading: from any thread; slow (it reads all keys).
#ifndef HIKYAKU_LIB_QUEUE_CHECKER_H_
#define HIKYAKU_LIB_QUEUE_CHECKER_H_

#include <atomic>
#include <string>

#include "absl/status/statusor.h"
#include "hikyaku/v1/admin.pb.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

// What is wrong stands in `problems`; reading errors, too. Setting `cancel` ends it soon.
// kUnavailable: cancelled, or the store is being reopened.
absl::StatusOr<v1::ShardCheck> CheckView(View& view, const std::string& shard, const std::atomic<bool>& cancel);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_CHECKER_H_
