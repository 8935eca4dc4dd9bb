// The queue's answers, as tables for people.
//
// Threading: pure functions.
#ifndef HIKYAKU_SERVICES_HIKYAKU_QUEUE_TEXT_H_
#define HIKYAKU_SERVICES_HIKYAKU_QUEUE_TEXT_H_

#include <string>

#include "absl/time/time.h"
#include "hikyaku/v1/admin.pb.h"

namespace hikyaku::cli {

std::string QueuesText(const v1::ListQueuesResponse& response, absl::Time now);
std::string DeliveriesText(const v1::ListDeliveriesResponse& response, absl::Time now);

// Counts of each shard, its problems, and whether recipients add up.
std::string CheckText(const v1::CheckQueueResponse& response);

std::string TlsReportsText(const v1::SendTlsReportsResponse& response);

// No shard has a problem and none is missing.
bool IsSound(const v1::CheckQueueResponse& response);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_QUEUE_TEXT_H_
