// An operator's levers: flush, suspend, resume, purge.
//
// Long ones work in bounded steps, each an operation of its own, so that mail goes on meanwhile.
// Threading: made anywhere; they run on the committer's thread and answer there.
#ifndef HIKYAKU_LIB_QUEUE_OPERATOR_H_
#define HIKYAKU_LIB_QUEUE_OPERATOR_H_

#include <memory>
#include <string>

#include "hikyaku/v1/admin.pb.h"
#include "lib/queue/committer.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

struct Engine;

std::unique_ptr<Operation> MakeFlush(Engine& engine, const v1::FlushRequest& request, Done<v1::FlushResponse> done);
std::unique_ptr<Operation> MakePurge(Engine& engine, const v1::PurgeRequest& request, Done<v1::PurgeResponse> done);

// `done` gets Ok when it is on disk and in force.
std::unique_ptr<Operation> MakeSuspend(Engine& engine, std::string domain, std::string reason, bool suspended,
                                       absl::AnyInvocable<void(absl::Status)> done);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_OPERATOR_H_
