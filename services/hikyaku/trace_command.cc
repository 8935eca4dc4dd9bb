// `hikyaku trace`.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "hikyaku/v1/mail.grpc.pb.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/rpc_client.h"
#include "services/hikyaku/trace_text.h"

namespace hikyaku::cli {
namespace {

constexpr char kExamples[] =
    R"(Tells what was accepted, where each delivery stands, what it waits for, and what the peers said.

Examples:
  hikyaku trace 01jd0c5d2x7wq8k3v9m4n6p0rt
  hikyaku trace --message-id '<20260102.7f@mail.example.jp>'
  hikyaku trace --json 01jd0c5d2x7wq8k3v9m4n6p0rt)";

struct TraceFlags {
  RpcFlags rpc;
  std::string id;
  std::string header;
};

int RunTrace(const TraceFlags& flags) {
  v1::GetMessageRequest request;
  if (flags.id.empty() == flags.header.empty()) {
    std::fprintf(stderr, "hikyaku trace: give either ID or --message-id\n");
    return kExitUsage;
  }
  if (flags.id.empty()) {
    request.set_message_id_header(flags.header);
  } else {
    request.set_message_id(flags.id);
  }
  const auto stub = v1::MailService::NewStub(Connect(flags.rpc));
  grpc::ClientContext context;
  SetDeadline(flags.rpc, &context);
  v1::GetMessageResponse response;
  if (const grpc::Status status = stub->GetMessage(&context, request, &response); !status.ok()) {
    return Fail(flags.rpc, status);
  }
  std::fputs(flags.rpc.json ? Json(response).c_str() : TraceText(response, absl::Now()).c_str(), stdout);
  return response.missing_shards().empty() ? kExitDone : kExitFailed;
}

}  // namespace

void AddTrace(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("trace", "Everything that is known of one message");
  app->footer(kExamples);
  const auto flags = std::make_shared<TraceFlags>();
  app->add_option("ID", flags->id, "The id that send printed");
  app->add_option("--message-id", flags->header, "The Message-ID header field instead, with or without <>");
  AddRpcFlags(app, &flags->rpc);
  commands->push_back({app, [flags] { return RunTrace(*flags); }});
}

}  // namespace hikyaku::cli
