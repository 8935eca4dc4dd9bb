// Taking mail in: the operations behind Shard::Enqueue and Shard::Claim.
//
// Threading: made on the caller's thread, where most of the work is done; they run on the committer's.
#ifndef HIKYAKU_LIB_QUEUE_ENQUEUE_H_
#define HIKYAKU_LIB_QUEUE_ENQUEUE_H_

#include <memory>

#include "hikyaku/internal/v1/queue.pb.h"
#include "lib/queue/committer.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

struct Engine;

// kInvalidArgument: our own front-end broke the format.
absl::Status ValidateEnqueue(const internal::v1::EnqueueRequest& request);
absl::Status ValidateClaim(const internal::v1::ClaimRequest& request);

// `request` is valid. Its body is counted in engine.pending_bytes until the operation is gone.
std::unique_ptr<Operation> MakeEnqueue(Engine& engine, internal::v1::EnqueueRequest request,
                                       Done<internal::v1::EnqueueResponse> done);
std::unique_ptr<Operation> MakeClaim(Engine& engine, internal::v1::ClaimRequest request,
                                     Done<internal::v1::ClaimResponse> done);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_ENQUEUE_H_
