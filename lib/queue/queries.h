// Answers to questions about what is queued. They read the disk: not on a thread that must be quick.
//
// Threading: from any thread.
#ifndef HIKYAKU_LIB_QUEUE_QUERIES_H_
#define HIKYAKU_LIB_QUEUE_QUERIES_H_

#include "absl/status/statusor.h"
#include "hikyaku/v1/admin.pb.h"
#include "hikyaku/v1/mail.pb.h"

namespace hikyaku::queue {

struct Engine;

absl::StatusOr<v1::GetMessageResponse> QueryMessage(Engine& engine, const v1::GetMessageRequest& request);
absl::StatusOr<v1::ListQueuesResponse> QueryQueues(Engine& engine, const v1::ListQueuesRequest& request);
absl::StatusOr<v1::ListDeliveriesResponse> QueryDeliveries(Engine& engine, const v1::ListDeliveriesRequest& request);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_QUERIES_H_
