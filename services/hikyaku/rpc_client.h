// How the commands reach a running service, and how they tell what went wrong.
#ifndef HIKYAKU_SERVICES_HIKYAKU_RPC_CLIENT_H_
#define HIKYAKU_SERVICES_HIKYAKU_RPC_CLIENT_H_

#include <google/protobuf/message.h>
#include <google/protobuf/timestamp.pb.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace hikyaku::cli {

struct RpcFlags {
  std::string server = "127.0.0.1:7025";
  std::string timeout = "30s";
  bool json = false;
};

// --server (also HIKYAKU_SERVER), --timeout and --json.
void AddRpcFlags(CLI::App* app, RpcFlags* flags);

// A text that ParseDuration reads.
CLI::Validator IsDuration();

std::shared_ptr<grpc::Channel> Connect(const RpcFlags& flags);

// The longest wait for an answer.
absl::Duration Timeout(const RpcFlags& flags);

// Gives the call the deadline of the flags.
void SetDeadline(const RpcFlags& flags, grpc::ClientContext* context);

// Prints `status` for people: what it means, the fields of a BadRequest, when to come back. Gives kExitFailed.
int Fail(const RpcFlags& flags, const grpc::Status& status);

// What Fail prints.
std::string ErrorText(const RpcFlags& flags, const grpc::Status& status);

// As JSON over several lines, unset fields included.
std::string Json(const google::protobuf::Message& message);

// Unset is InfinitePast.
absl::Time ToTime(bool has, const google::protobuf::Timestamp& time);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_RPC_CLIENT_H_
