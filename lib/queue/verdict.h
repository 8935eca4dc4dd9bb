// The end of a lease: the operation behind LeaseStream::Report.
//
// Threading: made on the caller's thread, where most of the work is done; it runs on the committer's.
#ifndef HIKYAKU_LIB_QUEUE_VERDICT_H_
#define HIKYAKU_LIB_QUEUE_VERDICT_H_

#include <memory>

#include "hikyaku/internal/v1/queue.pb.h"
#include "lib/queue/committer.h"
#include "lib/queue/item.h"

namespace hikyaku::queue {

struct Engine;

// `item` is kReporting and has its delivery record. Recipients without an outcome are tried again.
std::unique_ptr<Operation> MakeVerdict(Engine& engine, ItemPtr item, internal::v1::Verdict verdict);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_VERDICT_H_
