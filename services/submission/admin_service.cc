#include "services/submission/admin_service.h"

#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/address/literal.h"
#include "lib/base/message_id.h"
#include "lib/base/status_macros.h"
#include "lib/https/url.h"
#include "lib/submission/failure.h"
#include "services/submission/grpc_status.h"
#include "services/submission/merge.h"
#include "services/submission/unary_call.h"

namespace hikyaku::submission {
namespace {

constexpr int kDefaultLimit = 100;
constexpr int kMaxLimit = 1000;
constexpr std::size_t kMaxReason = 1024;

absl::Status BadField(const char* path, const std::string& description) {
  return FieldFailure(absl::StatusCode::kInvalidArgument, {{path, description}});
}

// Puts the default in place, or says what is wrong.
template <typename Request>
absl::Status FixLimit(Request* request) {
  if (request->limit() == 0) request->set_limit(kDefaultLimit);
  if (request->limit() > 0 && request->limit() <= kMaxLimit) return absl::OkStatus();
  return BadField("limit", absl::StrCat("must be 1 to ", kMaxLimit));
}

// The domain as deliveries have it: A-label in lower case, a canonical literal, or the origin of what is POSTed.
template <typename Request>
absl::Status FixDomain(Request* request) {
  if (request->domain().empty()) return absl::OkStatus();
  if (const auto literal = address::ParseAddressLiteral(request->domain()); literal.ok()) {
    request->set_domain(literal->ToLiteral());
    return absl::OkStatus();
  }
  if (absl::StartsWithIgnoreCase(request->domain(), "https:")) {
    const auto url = https::ParseUrl(request->domain());
    if (!url.ok()) return BadField("domain", std::string(url.status().message()));
    request->set_domain(url->Origin());
    return absl::OkStatus();
  }
  auto domain = address::ToALabel(request->domain());
  if (!domain.ok()) return BadField("domain", std::string(domain.status().message()));
  request->set_domain(*std::move(domain));
  return absl::OkStatus();
}

template <typename Request>
absl::Status RequireDomain(Request* request) {
  if (request->domain().empty()) return BadField("domain", "is required");
  return FixDomain(request);
}

absl::Status FixSuspend(v1::SuspendRequest* request) {
  RETURN_IF_ERROR(RequireDomain(request));
  if (request->reason().size() <= kMaxReason) return absl::OkStatus();
  return BadField("reason",
                  absl::StrCat("is ", request->reason().size(), " bytes long, at most ", kMaxReason, " are allowed"));
}

absl::Status FixFlush(v1::FlushRequest* request) {
  if (request->message_id().empty()) return FixDomain(request);
  if (!request->domain().empty()) return BadField("domain", "may not be set together with message_id");
  const auto id = MessageId::FromText(request->message_id());
  if (!id.has_value()) return BadField("message_id", "must be the 26 characters of an id");
  request->set_message_id(id->text());
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* AnswerAtOnce(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

}  // namespace

// ask(shard, done) for each shard, and merge(answers) into `response`.
template <typename Response, typename Ask, typename Merge>
AdminService::Reactor* AdminService::AskAll(Context* context, Response* response, Ask ask, Merge merge) {
  if (!gate_->Enter()) return AnswerAtOnce(context, CallGate::Stopping());
  auto* reactor = new UnaryCall(gate_);
  FanOut<Response>(cluster_->shards(), std::move(ask), [reactor, response, merge](ShardAnswers<Response> answers) {
    auto merged = merge(std::move(answers));
    if (merged.ok()) *response = *std::move(merged);
    reactor->Finish(ToGrpc(merged.status()));
  });
  return reactor;
}

AdminService::Reactor* AdminService::ListQueues(Context* context, const v1::ListQueuesRequest* given,
                                                v1::ListQueuesResponse* response) {
  v1::ListQueuesRequest request = *given;
  if (absl::Status s = FixLimit(&request); !s.ok()) return AnswerAtOnce(context, s);
  if (absl::Status s = FixDomain(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.ListQueues(request, std::move(done)); },
      [limit = request.limit()](auto answers) { return MergeQueues(std::move(answers), limit); });
}

AdminService::Reactor* AdminService::ListDeliveries(Context* context, const v1::ListDeliveriesRequest* given,
                                                    v1::ListDeliveriesResponse* response) {
  v1::ListDeliveriesRequest request = *given;
  if (absl::Status s = FixLimit(&request); !s.ok()) return AnswerAtOnce(context, s);
  if (absl::Status s = FixDomain(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.ListDeliveries(request, std::move(done)); },
      [limit = request.limit()](auto answers) { return MergeDeliveries(std::move(answers), limit); });
}

AdminService::Reactor* AdminService::Flush(Context* context, const v1::FlushRequest* given,
                                           v1::FlushResponse* response) {
  v1::FlushRequest request = *given;
  if (absl::Status s = FixFlush(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.Flush(request, std::move(done)); },
      MergeFlush);
}

AdminService::Reactor* AdminService::Suspend(Context* context, const v1::SuspendRequest* given,
                                             v1::SuspendResponse* response) {
  v1::SuspendRequest request = *given;
  if (absl::Status s = FixSuspend(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.Suspend(request, std::move(done)); },
      MergeSuspend);
}

AdminService::Reactor* AdminService::Resume(Context* context, const v1::ResumeRequest* given,
                                            v1::ResumeResponse* response) {
  v1::ResumeRequest request = *given;
  if (absl::Status s = RequireDomain(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.Resume(request, std::move(done)); },
      MergeResume);
}

AdminService::Reactor* AdminService::Purge(Context* context, const v1::PurgeRequest* given,
                                           v1::PurgeResponse* response) {
  v1::PurgeRequest request = *given;
  if (absl::Status s = RequireDomain(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.Purge(request, std::move(done)); },
      MergePurge);
}

AdminService::Reactor* AdminService::SendTlsReports(Context* context, const v1::SendTlsReportsRequest* given,
                                                    v1::SendTlsReportsResponse* response) {
  v1::SendTlsReportsRequest request = *given;
  if (absl::Status s = FixDomain(&request); !s.ok()) return AnswerAtOnce(context, s);
  return AskAll(
      context, response, [&request](queue::Shard& shard, auto done) { shard.SendTlsReports(request, std::move(done)); },
      MergeTlsReports);
}

AdminService::Reactor* AdminService::CheckQueue(Context* context, const v1::CheckQueueRequest*,
                                                v1::CheckQueueResponse* response) {
  return AskAll(
      context, response, [](queue::Shard& shard, auto done) { shard.CheckQueue(std::move(done)); }, MergeCheck);
}

AdminService::Reactor* AdminService::ListSuppressions(Context* context, const v1::ListSuppressionsRequest*,
                                                      v1::ListSuppressionsResponse*) {
  return AnswerAtOnce(context, NotBuilt("ListSuppressions"));
}

AdminService::Reactor* AdminService::AddSuppression(Context* context, const v1::AddSuppressionRequest*,
                                                    v1::AddSuppressionResponse*) {
  return AnswerAtOnce(context, NotBuilt("AddSuppression"));
}

AdminService::Reactor* AdminService::RemoveSuppression(Context* context, const v1::RemoveSuppressionRequest*,
                                                       v1::RemoveSuppressionResponse*) {
  return AnswerAtOnce(context, NotBuilt("RemoveSuppression"));
}

AdminService::Reactor* AdminService::Explain(Context* context, const v1::ExplainRequest*, v1::ExplainResponse*) {
  return AnswerAtOnce(context, NotBuilt("Explain"));
}

}  // namespace hikyaku::submission
