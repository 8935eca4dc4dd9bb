#include "services/common/grpc_server.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/server_interceptor.h"

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

// A request that is no protobuf message, or holds text that is no UTF-8, never reaches a service: gRPC's callback API
// answers it with UNIMPLEMENTED and no word, as if the method did not exist. Our own UNIMPLEMENTED always has words.
class UnreadableRequest : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = batch->GetSendStatus();
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && status.error_message().empty()) {
        batch->ModifySendStatus(
            {grpc::StatusCode::INVALID_ARGUMENT,
             "the request cannot be read: not a message of this method, or text that is not UTF-8"});
      }
    }
    batch->Proceed();
  }
};

class UnreadableRequests : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo*) override {
    return new UnreadableRequest;
  }
};

void RefuseUnreadable(grpc::ServerBuilder* builder) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
  creators.push_back(std::make_unique<UnreadableRequests>());
  builder->experimental().SetInterceptorCreators(std::move(creators));
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const std::vector<grpc::Service*>& services) {
  EnablePlugins();
  grpc::ServerBuilder builder;
  const auto credentials = options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials();
  std::vector<int> ports(options.addresses.size(), 0);
  for (std::size_t i = 0; i < options.addresses.size(); ++i) {
    builder.AddListeningPort(options.addresses[i], credentials, &ports[i]);
  }
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message));
  builder.SetMaxSendMessageSize(static_cast<int>(options.max_message));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadata);
  grpc::ResourceQuota quota("hikyaku");
  quota.Resize(std::max(options.memory, MemoryFloor(options.max_message)));
  builder.SetResourceQuota(quota);
  // gRPC unpacks a message whole before it looks at its size: a megabyte of gzip may be a gigabyte of zeros.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  RefuseUnreadable(&builder);
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
  made->SetServing(false);  // gRPC's own default is true; our owner knows when.
  return made;
}

GrpcServer::~GrpcServer() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
  server_->Wait();
}

void GrpcServer::SetServing(bool serving) { server_->GetHealthCheckService()->SetServingStatus(serving); }

}  // namespace hikyaku
