// Answers to questions about what is queued. They read the disk: not on a thread that must be quick.
//
// Threading: from any thread.
#ifndef HIKYAKU_LIB_QUEUE_QUERIES_H_
#define HIKYAKU_LIB_QUEUE_QUERIES_H_

#include <algorithm>

#include "absl/status/statusor.h"
#include "hikyaku/v1/admin.pb.h"
#include "hikyaku/v1/mail.pb.h"

namespace hikyaku::queue {

struct Engine;

// Entries looked at for one answer, so that a question about ten million deliveries ends.
inline constexpr int kMostSeen = 500'000;

// Of the rows of an answer: 100 by default, at most 1,000.
inline int RowLimit(int wanted) { return wanted <= 0 ? 100 : std::min(wanted, 1000); }

absl::StatusOr<v1::GetMessageResponse> QueryMessage(Engine& engine, const v1::GetMessageRequest& request);
absl::StatusOr<v1::ListQueuesResponse> QueryQueues(Engine& engine, const v1::ListQueuesRequest& request);
absl::StatusOr<v1::ListDeliveriesResponse> QueryDeliveries(Engine& engine, const v1::ListDeliveriesRequest& request);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_QUERIES_H_
