#include "services/hikyaku/rpc_client.h"

#include <google/protobuf/util/json_util.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <cstddef>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "lib/base/units.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/text.h"

namespace hikyaku::cli {
namespace {

// What gRPC would complain of in lines of its own.
CLI::Validator IsServer() {
  return CLI::Validator(
      [](const std::string& text) {
        const std::size_t colon = text.rfind(':');
        const bool split = colon != std::string::npos && colon > 0 && colon + 1 < text.size();
        return split ? std::string() : absl::StrCat("\"", Printable(text), "\" is not HOST:PORT, as in 127.0.0.1:7025");
      },
      "HOST:PORT");
}

constexpr int kMaxAnswer = 64 << 20;

std::string Meaning(const RpcFlags& flags, grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::UNAVAILABLE:
      return absl::StrCat("no answer from ", flags.server, ", or it cannot take this now");
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::StrCat(flags.server, " did not answer within ", flags.timeout, "; it may have done it nevertheless");
    case grpc::StatusCode::INVALID_ARGUMENT: return "the request is wrong";
    case grpc::StatusCode::ALREADY_EXISTS: return "the idempotency key was used for another message";
    case grpc::StatusCode::UNIMPLEMENTED: return absl::StrCat(flags.server, " does not offer this");
    case grpc::StatusCode::NOT_FOUND: return "nothing is known of it";
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return "the server has no room for this now, or it is too large";
    case grpc::StatusCode::PERMISSION_DENIED: return "you may not do this";
    default: return absl::StrCat("failed with code ", static_cast<int>(code));
  }
}

// Whether there were fields of a BadRequest.
bool AppendDetails(const grpc::Status& status, std::string* out) {
  google::rpc::Status details;
  bool fields = false;
  if (!details.ParseFromString(status.error_details())) return false;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::BadRequest bad;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&bad)) {
      for (const auto& field : bad.field_violations()) {
        fields = true;
        absl::StrAppend(out, "  ", Printable(field.field()), ": ", Printable(field.description()), "\n");
      }
    } else if (any.UnpackTo(&retry)) {
      absl::StrAppend(
          out, "  try again in ",
          FormatSpan(absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos())),
          "\n");
    }
  }
  return fields;
}

}  // namespace

void AddRpcFlags(CLI::App* app, RpcFlags* flags) {
  app->add_option("--server", flags->server, "HOST:PORT of the gRPC listener")
      ->envname("HIKYAKU_SERVER")
      ->check(IsServer())
      ->capture_default_str();
  app->add_option("--timeout", flags->timeout, "Longest wait for an answer")
      ->check(IsDuration())
      ->capture_default_str();
  app->add_flag("--json", flags->json, "Print the answer as JSON");
}

CLI::Validator IsDuration() {
  return CLI::Validator(
      [](const std::string& text) {
        const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
        return duration.ok() ? std::string() : std::string(duration.status().message());
      },
      "DURATION");
}

std::shared_ptr<grpc::Channel> Connect(const RpcFlags& flags) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswer);
  arguments.SetMaxSendMessageSize(-1);
  // The mail system is a neighbour: a proxy for the web that the environment names has no part in this.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(flags.server, grpc::InsecureChannelCredentials(), arguments);
}

absl::Duration Timeout(const RpcFlags& flags) { return ParseDuration(flags.timeout).value_or(absl::Seconds(30)); }

void SetDeadline(const RpcFlags& flags, grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(Timeout(flags)));
}

std::string ErrorText(const RpcFlags& flags, const grpc::Status& status) {
  std::string details;
  const bool fields = AppendDetails(status, &details);
  std::string text = absl::StrCat("hikyaku: ", Meaning(flags, status.error_code()));
  // Where fields are listed, the message is only the first of them.
  if (!fields && !status.error_message().empty()) absl::StrAppend(&text, ": ", Printable(status.error_message()));
  return absl::StrCat(text, "\n", details);
}

int Fail(const RpcFlags& flags, const grpc::Status& status) {
  std::fputs(ErrorText(flags, status).c_str(), stderr);
  return kExitFailed;
}

std::string Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : absl::StrCat("{\"error\": \"cannot be shown\"}\n");
}

absl::Time ToTime(bool has, const google::protobuf::Timestamp& time) {
  if (!has) return absl::InfinitePast();
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

}  // namespace hikyaku::cli
