#include "services/submission/grpc_status.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {
namespace {

// The numbers of absl::StatusCode are those of gRPC and of google.rpc.Code.
int Code(const absl::Status& status) {
  return static_cast<int>(absl::IsCancelled(status) ? absl::StatusCode::kUnavailable : status.code());
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(Code(status));
  details.set_message(std::string(status.message()));
  status.ForEachPayload([&details](absl::string_view type_url, const absl::Cord& payload) {
    google::protobuf::Any& detail = *details.add_details();
    detail.set_type_url(std::string(type_url));
    detail.set_value(std::string(payload));
  });
  const std::string bytes = details.details().empty() ? "" : details.SerializeAsString();
  return grpc::Status(static_cast<grpc::StatusCode>(Code(status)), std::string(status.message()), bytes);
}

v1::SendMailError ToSendMailError(const absl::Status& status) {
  v1::SendMailError error;
  error.set_code(Code(status));
  error.set_message(std::string(status.message()));
  for (const FieldError& field : FieldsOf(status)) {
    v1::FieldError& to = *error.add_fields();
    to.set_field(field.path);
    to.set_description(field.description);
  }
  if (const auto after = RetryAfterOf(status)) {
    error.mutable_retry_after()->set_seconds(absl::ToInt64Seconds(*after));
    error.mutable_retry_after()->set_nanos(
        static_cast<int>(absl::ToInt64Nanoseconds(*after - absl::Seconds(absl::ToInt64Seconds(*after)))));
  }
  return error;
}

absl::Status CallState(const grpc::CallbackServerContext& context) {
  // At its deadline a call is cancelled as well: the deadline is the better word.
  if (context.deadline() <= std::chrono::system_clock::now()) {
    return absl::DeadlineExceededError("the call's deadline passed before the message could be queued");
  }
  return context.IsCancelled() ? absl::CancelledError("the client cancelled the call") : absl::OkStatus();
}

absl::Status NotBuilt(const char* method) {
  return absl::UnimplementedError(absl::StrCat(method, " is not built yet"));
}

}  // namespace hikyaku::submission
