#include "services/submission/merge.h"

#include <algorithm>
#include <tuple>

#include "google/protobuf/timestamp.pb.h"
#include "lib/base/status_macros.h"

namespace hikyaku::submission {
namespace {

auto TimeOf(const google::protobuf::Timestamp& time) { return std::make_tuple(time.seconds(), time.nanos()); }

// Of messages that share a field number for field number, the parts of one after those of the other.
template <typename Field>
void MoveAll(Field* from, Field* to) {
  for (auto& element : *from) to->Add(std::move(element));
}

template <typename Field>
void Cut(int limit, Field* field) {
  if (field->size() > limit) field->DeleteSubrange(limit, field->size() - limit);
}

}  // namespace

absl::StatusOr<v1::GetMessageResponse> MergeMessage(ShardAnswers<v1::GetMessageResponse> answers) {
  v1::GetMessageResponse merged;
  bool found = false;
  for (auto& [shard, response] : answers) {
    if (!response.ok()) {
      if (!absl::IsNotFound(response.status())) merged.add_missing_shards(shard);
      continue;
    }
    if (!found) {
      for (const std::string& missing : merged.missing_shards()) response->add_missing_shards(missing);
      merged = *std::move(response);
      found = true;
      continue;
    }
    MoveAll(response->mutable_deliveries(), merged.mutable_deliveries());
    MoveAll(response->mutable_events(), merged.mutable_events());
    MoveAll(response->mutable_missing_shards(), merged.mutable_missing_shards());
  }
  if (!found && merged.missing_shards().empty()) {
    return absl::NotFoundError("no such message, or its record has been forgotten");
  }
  if (!found) return absl::UnavailableError("not known here, and some shards did not answer");
  std::stable_sort(merged.mutable_events()->begin(), merged.mutable_events()->end(),
                   [](const v1::Event& a, const v1::Event& b) { return TimeOf(a.time()) < TimeOf(b.time()); });
  return merged;
}

absl::StatusOr<v1::ListQueuesResponse> MergeQueues(ShardAnswers<v1::ListQueuesResponse> answers, int limit) {
  v1::ListQueuesResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  for (auto& answer : answers) {
    if (answer.response.ok()) MoveAll(answer.response->mutable_queues(), merged.mutable_queues());
  }
  const auto waiting = [](const v1::QueueSummary& q) { return q.ready() + q.leased() + q.scheduled(); };
  std::stable_sort(
      merged.mutable_queues()->begin(), merged.mutable_queues()->end(),
      [&waiting](const v1::QueueSummary& a, const v1::QueueSummary& b) { return waiting(a) > waiting(b); });
  Cut(limit, merged.mutable_queues());
  return merged;
}

absl::StatusOr<v1::ListDeliveriesResponse> MergeDeliveries(ShardAnswers<v1::ListDeliveriesResponse> answers,
                                                           int limit) {
  v1::ListDeliveriesResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  for (auto& answer : answers) {
    if (answer.response.ok()) MoveAll(answer.response->mutable_deliveries(), merged.mutable_deliveries());
  }
  std::stable_sort(merged.mutable_deliveries()->begin(), merged.mutable_deliveries()->end(),
                   [](const v1::DeliverySummary& a, const v1::DeliverySummary& b) {
                     return TimeOf(a.next_attempt_time()) < TimeOf(b.next_attempt_time());
                   });
  Cut(limit, merged.mutable_deliveries());
  return merged;
}

absl::StatusOr<v1::FlushResponse> MergeFlush(ShardAnswers<v1::FlushResponse> answers) {
  v1::FlushResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  for (auto& answer : answers) {
    if (answer.response.ok()) merged.set_flushed(merged.flushed() + answer.response->flushed());
  }
  return merged;
}

absl::StatusOr<v1::PurgeResponse> MergePurge(ShardAnswers<v1::PurgeResponse> answers) {
  v1::PurgeResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  for (auto& answer : answers) {
    if (answer.response.ok()) merged.set_purged(merged.purged() + answer.response->purged());
  }
  return merged;
}

absl::StatusOr<v1::SendTlsReportsResponse> MergeTlsReports(ShardAnswers<v1::SendTlsReportsResponse> answers) {
  v1::SendTlsReportsResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  for (auto& answer : answers) {
    if (!answer.response.ok()) continue;
    merged.set_reports(merged.reports() + answer.response->reports());
    merged.set_without_address(merged.without_address() + answer.response->without_address());
  }
  return merged;
}

absl::StatusOr<v1::SuspendResponse> MergeSuspend(ShardAnswers<v1::SuspendResponse> answers) {
  v1::SuspendResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  return merged;
}

absl::StatusOr<v1::ResumeResponse> MergeResume(ShardAnswers<v1::ResumeResponse> answers) {
  v1::ResumeResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  return merged;
}

absl::StatusOr<v1::CheckQueueResponse> MergeCheck(ShardAnswers<v1::CheckQueueResponse> answers) {
  v1::CheckQueueResponse merged;
  RETURN_IF_ERROR(NoteMissing(answers, &merged));
  for (auto& answer : answers) {
    if (answer.response.ok()) MoveAll(answer.response->mutable_shards(), merged.mutable_shards());
  }
  return merged;
}

}  // namespace hikyaku::submission
