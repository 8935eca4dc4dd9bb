#include "services/submission/mail_service.h"

#include <string>
#include <utility>

#include "absl/strings/strip.h"
#include "lib/base/message_id.h"
#include "lib/submission/failure.h"
#include "services/submission/grpc_status.h"
#include "services/submission/merge.h"
#include "services/submission/unary_call.h"

namespace hikyaku::submission {
namespace {

grpc::ServerUnaryReactor* AnswerAtOnce(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// The request as the shards want it: the id in lower case, the header field without brackets.
absl::StatusOr<v1::GetMessageRequest> Normalise(const v1::GetMessageRequest& request) {
  v1::GetMessageRequest normal;
  if (request.has_message_id()) {
    const auto id = MessageId::FromText(request.message_id());
    if (!id.has_value()) {
      return FieldFailure(absl::StatusCode::kInvalidArgument, {{"message_id", "must be the 26 characters of an id"}});
    }
    normal.set_message_id(id->text());
    return normal;
  }
  absl::string_view header = request.message_id_header();
  absl::ConsumePrefix(&header, "<");
  absl::ConsumeSuffix(&header, ">");
  if (header.empty()) {
    return FieldFailure(absl::StatusCode::kInvalidArgument,
                        {{"message_id", "one of message_id and message_id_header is required"}});
  }
  normal.set_message_id_header(std::string(header));
  return normal;
}

}  // namespace

grpc::ServerUnaryReactor* MailService::SendMail(grpc::CallbackServerContext* context,
                                                const v1::SendMailRequest* request, v1::SendMailResponse* response) {
  if (!gate_->Enter()) return AnswerAtOnce(context, CallGate::Stopping());
  auto* reactor = new UnaryCall(gate_);
  // A client that goes after this loses the answer, not the mail. The request was made for this call, and gRPC does not
  // look at it again.
  sender_->Send(
      const_cast<v1::SendMailRequest*>(request), [context] { return CallState(*context); },
      [reactor, response](absl::StatusOr<v1::SendMailResponse> result) {
        if (result.ok()) *response = *std::move(result);
        reactor->Finish(ToGrpc(result.status()));
      });
  return reactor;
}

grpc::ServerUnaryReactor* MailService::GetMessage(grpc::CallbackServerContext* context,
                                                  const v1::GetMessageRequest* request,
                                                  v1::GetMessageResponse* response) {
  const auto normal = Normalise(*request);
  if (!normal.ok()) return AnswerAtOnce(context, normal.status());
  if (!gate_->Enter()) return AnswerAtOnce(context, CallGate::Stopping());
  auto* reactor = new UnaryCall(gate_);
  FanOut<v1::GetMessageResponse>(
      cluster_->shards(),
      [&normal](queue::Shard& shard, queue::Done<v1::GetMessageResponse> done) {
        shard.GetMessage(*normal, std::move(done));
      },
      [reactor, response](ShardAnswers<v1::GetMessageResponse> answers) {
        auto merged = MergeMessage(std::move(answers));
        if (merged.ok()) *response = *std::move(merged);
        reactor->Finish(ToGrpc(merged.status()));
      });
  return reactor;
}

grpc::ServerUnaryReactor* MailService::ListMessages(grpc::CallbackServerContext* context,
                                                    const v1::ListMessagesRequest*, v1::ListMessagesResponse*) {
  return AnswerAtOnce(context, NotBuilt("ListMessages"));
}

grpc::ServerUnaryReactor* MailService::CancelMessage(grpc::CallbackServerContext* context,
                                                     const v1::CancelMessageRequest*, v1::CancelMessageResponse*) {
  return AnswerAtOnce(context, NotBuilt("CancelMessage"));
}

}  // namespace hikyaku::submission
