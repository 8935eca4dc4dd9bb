#include "services/common/grpc_server.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/server_interceptor.h"
#include "lib/base/status_macros.h"
#include "lib/net/endpoint.h"

namespace hikyaku {
namespace {

constexpr int kPingPauseMillis = 5'000;
constexpr std::chrono::seconds kStopGrace{2};

// A connection that does not become HTTP/2 in this time is closed; gRPC's default is 120 s.
constexpr int kHandshakeMillis = 20'000;
// A piece of memory that is read into is freed with the last of the streams whose frames are in it: with gRPC's own 4
// MiB a stream that is ended for want of memory would free next to nothing.
constexpr int kReadChunk = 16 * 1024;
// Of clients from outside. A call under way, and a stream, are never cut: their client only opens its next call
// elsewhere.
constexpr int kKeepaliveMillis = 60'000;
constexpr int kIdleMillis = 30 * 60'000;
constexpr int kAgeMillis = 60 * 60'000;

// These plug into every server that is built later, so they are switched on once, before the first.
void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

// A request that is no protobuf message, or holds text that is no UTF-8, never reaches a service: gRPC's callback API
// answers it with UNIMPLEMENTED and no word, as it answers a method that does not exist. Our own UNIMPLEMENTED always
// has words.
class UnreadableRequest : public grpc::experimental::Interceptor {
 public:
  // Methods that nobody has registered are streams both ways to gRPC. One of ours is read message by message, and so
  // never answered in this way.
  explicit UnreadableRequest(bool no_such_method) : no_such_method_(no_such_method) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::PRE_SEND_STATUS)) {
      const grpc::Status status = batch->GetSendStatus();
      if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && status.error_message().empty()) {
        batch->ModifySendStatus(Answer());
      }
    }
    batch->Proceed();
  }

 private:
  grpc::Status Answer() const {
    if (no_such_method_) return {grpc::StatusCode::UNIMPLEMENTED, "there is no such method on this port"};
    return {grpc::StatusCode::INVALID_ARGUMENT,
            "the request cannot be read: not a message of this method, or text that is not UTF-8"};
  }

  const bool no_such_method_;
};

class UnreadableRequests : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    return new UnreadableRequest(info->type() == grpc::experimental::ServerRpcInfo::Type::BIDI_STREAMING);
  }
};

void RefuseUnreadable(grpc::ServerBuilder* builder) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> creators;
  creators.push_back(std::make_unique<UnreadableRequests>());
  builder->experimental().SetInterceptorCreators(std::move(creators));
}

void BoundConnections(const GrpcServerOptions& options, grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_streams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, GrpcServer::kMaxMetadata);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMillis);
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, kReadChunk);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  if (options.for_our_own) {
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingPauseMillis);
    return;
  }
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMillis);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMillis);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kAgeMillis);
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              const std::vector<grpc::Service*>& services) {
  EnablePlugins();
  grpc::ServerBuilder builder;
  std::vector<net::Endpoint> at;
  for (const std::string& address : options.addresses) {
    ASSIGN_OR_RETURN(at.emplace_back(), net::ParseEndpoint(address));
  }
  std::unique_ptr<GrpcServer> made(new GrpcServer);
  ASSIGN_OR_RETURN(made->listener_, net::RawListener::Bind(at, std::make_shared<net::Admission>(options.connections)));
  for (const net::Endpoint& bound : made->listener_->bound()) made->ports_.push_back(bound.port);
  made->acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      options.credentials != nullptr ? options.credentials : grpc::InsecureServerCredentials());
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message));
  builder.SetMaxSendMessageSize(static_cast<int>(options.max_message));
  grpc::ResourceQuota quota("hikyaku");
  quota.Resize(std::max(options.memory, MemoryFloor(options.max_message)));
  builder.SetResourceQuota(quota);
  // gRPC unpacks a message whole before it looks at its size: a megabyte of gzip may be a gigabyte of zeros.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  RefuseUnreadable(&builder);
  BoundConnections(options, builder);
  for (grpc::Service* service : services) builder.RegisterService(service);

  made->server_ = builder.BuildAndStart();
  if (made->server_ == nullptr) return absl::UnavailableError("gRPC does not start; see the lines above");
  made->health_names_ = options.health_names;
  made->SetServing(false);  // gRPC's own default is true; our owner knows when.
  made->listener_->Start([acceptor = made->acceptor_.get()](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.fd = fd;
    acceptor->HandleNewConnection(&connection);
  });
  return made;
}

GrpcServer::~GrpcServer() {
  listener_ = nullptr;
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
  server_->Wait();
}

void GrpcServer::SetServing(bool serving) {
  grpc::HealthCheckServiceInterface& health = *server_->GetHealthCheckService();
  for (const std::string& name : health_names_) health.SetServingStatus(name, serving);
  health.SetServingStatus(serving);
}

}  // namespace hikyaku
