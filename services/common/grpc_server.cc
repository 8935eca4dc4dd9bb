#include "services/common/grpc_server.h"

#include <algorithm>
#include <chrono>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"

namespace hikyaku {
namespace {

constexpr int kPingPauseMillis = 5'000;
constexpr std::chrono::seconds kStopGrace{2};

// These plug into every server that is built later, so they are switched on once, before the first.
void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const std::vector<grpc::Service*>& services) {
  EnablePlugins();
  grpc::ServerBuilder builder;
  std::vector<int> ports(options.addresses.size(), 0);
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    builder.AddListeningPort(options.addresses[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message));
  builder.SetMaxSendMessageSize(static_cast<int>(options.max_message));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadata);
  // Two servers on one port would take each other's calls; the second shall fail to start.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  if (options.frequent_pings) {
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingPauseMillis);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);

  std::unique_ptr<GrpcServer> made(new GrpcServer);
  made->server_ = builder.BuildAndStart();
  made->ports_ = ports;
  const bool all_bound = std::find(ports.begin(), ports.end(), 0) == ports.end();
  if (made->server_ == nullptr || !all_bound) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", absl::StrJoin(options.addresses, " or "),
                                               ": is the port in use, or the address not of this machine?"));
  }
  return made;
}

GrpcServer::~GrpcServer() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
  server_->Wait();
}

void GrpcServer::SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

}  // namespace hikyaku
