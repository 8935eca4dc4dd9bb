#include "services/hikyaku/queue_text.h"

#include "absl/strings/str_cat.h"
#include "lib/base/units.h"
#include "services/hikyaku/text.h"
#include "services/hikyaku/trace_text.h"

namespace hikyaku::cli {
namespace {

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Relative(bool has, const google::protobuf::Timestamp& time, absl::Time now) {
  return has ? FormatRelative(FromProto(time), now) : "-";
}

}  // namespace

std::string QueuesText(const v1::ListQueuesResponse& response, absl::Time now) {
  Table table({"DOMAIN", "SHARD", "READY", "LEASED", "SCHEDULED", "OLDEST", "NEXT", "LAST FAILURE"});
  for (const v1::QueueSummary& queue : response.queues()) {
    table.Add(
        {queue.domain(), queue.shard(), absl::StrCat(queue.ready()), absl::StrCat(queue.leased()),
         absl::StrCat(queue.scheduled()), Relative(queue.has_oldest_accept_time(), queue.oldest_accept_time(), now),
         queue.suspended() ? "suspended" : Relative(queue.has_next_attempt_time(), queue.next_attempt_time(), now),
         queue.has_last_failure() ? OutcomeText(queue.last_failure()) : "-"});
  }
  return table.empty() ? "Nothing waits.\n" : table.ToString();
}

std::string DeliveriesText(const v1::ListDeliveriesResponse& response, absl::Time now) {
  Table table(
      {"MESSAGE", "DOMAIN", "STATE", "TRIES", "NEXT", "ACCEPTED", "GIVES UP", "BYTES", "FROM", "TO", "LAST OUTCOME"});
  for (const v1::DeliverySummary& delivery : response.deliveries()) {
    std::string to = delivery.recipients().empty() ? "-" : delivery.recipients(0);
    if (delivery.recipients_size() > 1) absl::StrAppend(&to, " and ", delivery.recipients_size() - 1, " more");
    table.Add({delivery.message_id(), delivery.domain(), delivery.state(), absl::StrCat(delivery.attempts()),
               Relative(delivery.has_next_attempt_time(), delivery.next_attempt_time(), now),
               Relative(delivery.has_accept_time(), delivery.accept_time(), now),
               Relative(delivery.has_expire_time(), delivery.expire_time(), now), absl::StrCat(delivery.size_bytes()),
               delivery.sender().empty() ? "<>" : delivery.sender(), to,
               delivery.has_last_outcome() ? OutcomeText(delivery.last_outcome()) : "-"});
  }
  return table.empty() ? "Nothing waits.\n" : table.ToString();
}

std::string CheckText(const v1::CheckQueueResponse& response) {
  Table table({"SHARD", "DELIVERIES", "RECIPIENTS", "BODIES", "ACCEPTED", "DELIVERED", "BOUNCED", "EXPIRED",
               "CANCELLED", "SUPPRESSED", "PROBLEMS"});
  std::string problems;
  for (const v1::ShardCheck& shard : response.shards()) {
    table.Add({shard.shard(), absl::StrCat(shard.deliveries()), absl::StrCat(shard.recipients()),
               absl::StrCat(shard.bodies()), absl::StrCat(shard.accepted_total()),
               absl::StrCat(shard.delivered_total()), absl::StrCat(shard.bounced_total()),
               absl::StrCat(shard.expired_total()), absl::StrCat(shard.cancelled_total()),
               absl::StrCat(shard.suppressed_total()), absl::StrCat(shard.problems_size())});
    for (const std::string& problem : shard.problems()) {
      absl::StrAppend(&problems, Printable(shard.shard()), ": ", Printable(problem), "\n");
    }
  }
  return absl::StrCat(table.ToString(), problems.empty() ? "All invariants hold.\n" : problems);
}

std::string TlsReportsText(const v1::SendTlsReportsResponse& response) {
  std::string text = absl::StrCat("reports queued: ", response.reports(), "\n");
  if (response.without_address() > 0) {
    absl::StrAppend(&text, "without an address that can be reached, forgotten: ", response.without_address(), "\n");
  }
  return text;
}

bool IsSound(const v1::CheckQueueResponse& response) {
  for (const v1::ShardCheck& shard : response.shards()) {
    if (!shard.problems().empty()) return false;
  }
  return response.missing_shards().empty();
}

}  // namespace hikyaku::cli
