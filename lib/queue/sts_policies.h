// The MTA-STS policies that a shard keeps for the domains of its own (RFC 8461 §3.3): fetched by one worker, there for
// all that come after. What a policy says is not looked at here.
//
// Source:    docs/adr/0005-sts-policies-in-the-shard.md
// Threading: any; MakePutSts's operation runs and answers on the committer's thread.
#ifndef HIKYAKU_LIB_QUEUE_STS_POLICIES_H_
#define HIKYAKU_LIB_QUEUE_STS_POLICIES_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hikyaku/internal/v1/queue.pb.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/queue/committer.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

struct Engine;

inline constexpr std::size_t kMaxStsText = 64 * 1024;

// kNotFound: none, or its time is over; then it is removed in the background.
absl::StatusOr<storage::v1::StsPolicy> QuerySts(Engine& engine, const internal::v1::GetStsPolicyRequest& request);

// kInvalidArgument: not a record that a worker makes.
absl::Status ValidateSts(const storage::v1::StsPolicy& policy);

std::unique_ptr<Operation> MakePutSts(Engine& engine, storage::v1::StsPolicy policy,
                                      Done<internal::v1::PutStsPolicyResponse> done);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_STS_POLICIES_H_
