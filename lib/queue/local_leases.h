// A worker's end of its lease stream, where worker and shard are one process.
//
// Threading: as LeaseStream. Lifetimes: it may outlive the shard; it is dead then.
#ifndef HIKYAKU_LIB_QUEUE_LOCAL_LEASES_H_
#define HIKYAKU_LIB_QUEUE_LOCAL_LEASES_H_

#include <memory>

#include "lib/queue/engine.h"
#include "lib/queue/leases.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

// `stream` as opened by Leases::Open of the engine.
std::unique_ptr<LeaseStream> MakeLocalLeases(std::shared_ptr<Engine> engine, std::shared_ptr<Stream> stream);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_LOCAL_LEASES_H_
