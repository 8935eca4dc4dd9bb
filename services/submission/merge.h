// Many shards' answers as one.
//
// Threading: pure functions.
#ifndef HIKYAKU_SERVICES_SUBMISSION_MERGE_H_
#define HIKYAKU_SERVICES_SUBMISSION_MERGE_H_

#include "absl/status/statusor.h"
#include "hikyaku/v1/admin.pb.h"
#include "hikyaku/v1/mail.pb.h"
#include "services/submission/fan_out.h"

namespace hikyaku::submission {

// kNotFound when every shard says so; kUnavailable when none knows it and some did not answer.
absl::StatusOr<v1::GetMessageResponse> MergeMessage(ShardAnswers<v1::GetMessageResponse> answers);

// The domains with the most mail first, at most `limit`. Each fails only when no shard answered; others are named as
// missing.
absl::StatusOr<v1::ListQueuesResponse> MergeQueues(ShardAnswers<v1::ListQueuesResponse> answers, int limit);

// In due order, at most `limit`.
absl::StatusOr<v1::ListDeliveriesResponse> MergeDeliveries(ShardAnswers<v1::ListDeliveriesResponse> answers, int limit);

absl::StatusOr<v1::FlushResponse> MergeFlush(ShardAnswers<v1::FlushResponse> answers);
absl::StatusOr<v1::PurgeResponse> MergePurge(ShardAnswers<v1::PurgeResponse> answers);
absl::StatusOr<v1::SuspendResponse> MergeSuspend(ShardAnswers<v1::SuspendResponse> answers);
absl::StatusOr<v1::ResumeResponse> MergeResume(ShardAnswers<v1::ResumeResponse> answers);
absl::StatusOr<v1::SendTlsReportsResponse> MergeTlsReports(ShardAnswers<v1::SendTlsReportsResponse> answers);
absl::StatusOr<v1::CheckQueueResponse> MergeCheck(ShardAnswers<v1::CheckQueueResponse> answers);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_MERGE_H_
