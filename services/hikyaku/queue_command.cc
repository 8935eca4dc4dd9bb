// `hikyaku queue …`: what waits, why, and the levers.
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "hikyaku/v1/admin.grpc.pb.h"
#include "lib/queue/local_shard.h"
#include "services/hikyaku/command.h"
#include "services/hikyaku/queue_text.h"
#include "services/hikyaku/rpc_client.h"
#include "services/hikyaku/text.h"

namespace hikyaku::cli {
namespace {

using v1::AdminService;

struct QueueFlags {
  RpcFlags rpc;
  std::string domain;
  std::string message;
  std::string reason;
  std::string data_dir;
  int limit = 100;
  bool all = false;
  bool yes = false;
  bool ended = false;
};

constexpr char kExamples[] = R"(Examples:
  hikyaku queue list
  hikyaku queue show example.com
  hikyaku queue flush example.com
  hikyaku queue suspend example.com --reason 'their migration' && hikyaku queue resume example.com
  hikyaku queue purge example.com --yes
  hikyaku queue tls-report example.com
  hikyaku queue check --data-dir /var/lib/hikyaku)";

// A shard that did not answer is said, and makes the command fail: what was printed or done is not all.
template <typename Response>
int Missing(const Response& response) {
  if (response.missing_shards().empty()) return kExitDone;
  std::fprintf(stderr, "hikyaku: no answer from shard %s: this is not all\n",
               Printable(absl::StrJoin(response.missing_shards(), ", ")).c_str());
  return kExitFailed;
}

// Calls `method` and prints the answer as JSON, or as `text` says it.
template <typename Request, typename Response>
int Call(const RpcFlags& flags,
         grpc::Status (AdminService::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
         const Request& request, const std::function<std::string(const Response&)>& text, Response* response) {
  const auto stub = AdminService::NewStub(Connect(flags));
  grpc::ClientContext context;
  SetDeadline(flags, &context);
  if (const grpc::Status status = (stub.get()->*method)(&context, request, response); !status.ok()) {
    return Fail(flags, status);
  }
  std::fputs(flags.json ? Json(*response).c_str() : text(*response).c_str(), stdout);
  std::fflush(stdout);
  return Missing(*response);
}

int Usage(const char* command, const char* what) {
  std::fprintf(stderr, "hikyaku queue %s: %s\n", command, what);
  return kExitUsage;
}

int List(const QueueFlags& flags) {
  v1::ListQueuesRequest request;
  request.set_limit(flags.limit);
  v1::ListQueuesResponse response;
  return Call<v1::ListQueuesRequest, v1::ListQueuesResponse>(
      flags.rpc, &AdminService::Stub::ListQueues, request,
      [](const v1::ListQueuesResponse& queues) { return QueuesText(queues, absl::Now()); }, &response);
}

int Show(const QueueFlags& flags) {
  v1::ListDeliveriesRequest request;
  request.set_domain(flags.domain);
  request.set_limit(flags.limit);
  v1::ListDeliveriesResponse response;
  return Call<v1::ListDeliveriesRequest, v1::ListDeliveriesResponse>(
      flags.rpc, &AdminService::Stub::ListDeliveries, request,
      [](const v1::ListDeliveriesResponse& deliveries) { return DeliveriesText(deliveries, absl::Now()); }, &response);
}

int Check(const QueueFlags& flags) {
  v1::CheckQueueResponse response;
  int code = kExitDone;
  if (flags.data_dir.empty()) {
    code = Call<v1::CheckQueueRequest, v1::CheckQueueResponse>(flags.rpc, &AdminService::Stub::CheckQueue, {},
                                                               CheckText, &response);
  } else {
    const absl::StatusOr<v1::ShardCheck> shard = queue::CheckStore(flags.data_dir);
    if (!shard.ok()) {
      std::fprintf(stderr, "hikyaku: %s: %s\n", flags.data_dir.c_str(),
                   Printable(std::string(shard.status().message())).c_str());
      return kExitFailed;
    }
    *response.add_shards() = *shard;
    std::fputs(flags.rpc.json ? Json(response).c_str() : CheckText(response).c_str(), stdout);
  }
  return code == kExitDone && !IsSound(response) ? kExitFailed : code;
}

int Flush(const QueueFlags& flags) {
  const int given = !flags.domain.empty() + !flags.message.empty() + flags.all;
  if (given != 1) return Usage("flush", "give one of DOMAIN, --message ID and --all");
  v1::FlushRequest request;
  request.set_domain(flags.domain);
  request.set_message_id(flags.message);
  v1::FlushResponse response;
  return Call<v1::FlushRequest, v1::FlushResponse>(
      flags.rpc, &AdminService::Stub::Flush, request,
      [](const v1::FlushResponse& flushed) { return absl::StrCat("due now: ", flushed.flushed(), "\n"); }, &response);
}

int Suspend(const QueueFlags& flags) {
  v1::SuspendRequest request;
  request.set_domain(flags.domain);
  request.set_reason(flags.reason);
  v1::SuspendResponse response;
  return Call<v1::SuspendRequest, v1::SuspendResponse>(
      flags.rpc, &AdminService::Stub::Suspend, request,
      [](const v1::SuspendResponse&) { return "suspended: nothing is attempted until resume\n"; }, &response);
}

int Resume(const QueueFlags& flags) {
  v1::ResumeRequest request;
  request.set_domain(flags.domain);
  v1::ResumeResponse response;
  return Call<v1::ResumeRequest, v1::ResumeResponse>(
      flags.rpc, &AdminService::Stub::Resume, request, [](const v1::ResumeResponse&) { return "resumed\n"; },
      &response);
}

int Purge(const QueueFlags& flags) {
  if (!flags.yes) return Usage("purge", "this ends every waiting mail of the domain for good: say --yes");
  v1::PurgeRequest request;
  request.set_domain(flags.domain);
  v1::PurgeResponse response;
  return Call<v1::PurgeRequest, v1::PurgeResponse>(
      flags.rpc, &AdminService::Stub::Purge, request,
      [](const v1::PurgeResponse& purged) { return absl::StrCat("cancelled: ", purged.purged(), "\n"); }, &response);
}

int TlsReport(const QueueFlags& flags) {
  if (flags.domain.empty() != flags.all) return Usage("tls-report", "give one of DOMAIN and --all");
  v1::SendTlsReportsRequest request;
  request.set_domain(flags.domain);
  request.set_ended_days_only(flags.ended);
  v1::SendTlsReportsResponse response;
  return Call<v1::SendTlsReportsRequest, v1::SendTlsReportsResponse>(flags.rpc, &AdminService::Stub::SendTlsReports,
                                                                     request, TlsReportsText, &response);
}

}  // namespace

void AddQueue(CLI::App* parent, std::vector<Command>* commands) {
  CLI::App* app = parent->add_subcommand("queue", "What waits, why, and the levers");
  app->footer(kExamples);
  app->require_subcommand(1);
  const auto flags = std::make_shared<QueueFlags>();
  const auto add = [&](const char* name, const char* help, int (*run)(const QueueFlags&)) {
    CLI::App* sub = app->add_subcommand(name, help);
    sub->footer(kExamples);
    AddRpcFlags(sub, &flags->rpc);
    commands->push_back({sub, [flags, run] { return run(*flags); }});
    return sub;
  };
  const auto domain = [&](CLI::App* sub) { return sub->add_option("DOMAIN", flags->domain, "Destination domain"); };
  const auto limit = [&](CLI::App* sub) {
    sub->add_option("--limit", flags->limit, "Most lines")->check(CLI::Range(1, 1000))->capture_default_str();
  };
  limit(add("list", "Destination domains with mail waiting, the most first", List));
  CLI::App* show = add("show", "The deliveries that wait, of one domain or of all, in due order", Show);
  domain(show);
  limit(show);
  CLI::App* check = add("check", "Counts and invariants of each shard; fails when one does not hold", Check);
  check->add_option("--data-dir", flags->data_dir, "Instead of asking the server: read this folder, changing nothing");
  CLI::App* flush = add("flush", "Make waiting deliveries due now", Flush);
  domain(flush);
  flush->add_option("--message", flags->message, "Those of this message");
  flush->add_flag("--all", flags->all, "All of every domain");
  CLI::App* suspend = add("suspend", "No attempt for the domain until resume; survives a restart", Suspend);
  domain(suspend)->required();
  suspend->add_option("--reason", flags->reason, "Why, for those who look");
  domain(add("resume", "The opposite of suspend", Resume))->required();
  CLI::App* purge = add("purge", "End every waiting delivery of the domain as cancelled", Purge);
  domain(purge)->required();
  purge->add_flag("--yes", flags->yes, "Yes, cancel them");
  CLI::App* report =
      add("tls-report", "Send the reports on TLS of what is counted and not reported yet, now", TlsReport);
  domain(report);
  report->add_flag("--all", flags->all, "On all domains");
  report->add_flag("--ended", flags->ended, "Leave what was counted today for the end of the day");
}

}  // namespace hikyaku::cli
