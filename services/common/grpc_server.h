// A gRPC server with what every door of ours has: health, bounds on what a peer may cost, and a known port.
//
// Threading: Start and SetServing from any thread.
#ifndef HIKYAKU_SERVICES_COMMON_GRPC_SERVER_H_
#define HIKYAKU_SERVICES_COMMON_GRPC_SERVER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "lib/net/admission.h"
#include "lib/net/raw_listener.h"

namespace hikyaku {

struct GrpcServerOptions {
  std::vector<std::string> addresses;  // "IP:port"; port 0 takes a free one.
  std::size_t max_message = 0;         // Bytes of the largest message that may be received or sent.
  // Who may connect; none: everyone, in the clear.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Bytes of what gRPC itself may hold for all its connections: it buffers a message whole before a service sees it.
  // Raised to MemoryFloor. It is a mark, not a wall: gRPC reads what has come, and then ends streams, of its own
  // choice, with RESOURCE_EXHAUSTED or UNAVAILABLE, and takes no connections, until it is below; twice as much was
  // measured. What a service makes of a message (the parsed copy) is not in it.
  std::size_t memory = 0;
  int max_streams = 256;             // That one connection may have open.
  net::Admission::Caps connections;  // One that is turned away is closed unread: its client sees UNAVAILABLE.
  // The other side are our own processes: they ping to see whether we still live, which clients from outside have no
  // reason to, and their connections stay. Those of others are pinged by us, and end, between two calls, when they are
  // idle or old: the first frees what a client forgot, the second spreads clients over servers that came later.
  bool for_our_own = false;
  // Full names of the services, for clients that ask for the health of one; they are as healthy as the whole.
  std::vector<std::string> health_names;
};

class GrpcServer {
 public:
  static constexpr int kMaxMetadata = 16 * 1024;

  // Room for two of the largest messages at once.
  static std::size_t MemoryFloor(std::size_t max_message) { return 2 * max_message + (32 << 20); }

  // The services must outlive the server. kUnavailable names the address that cannot be bound.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           const std::vector<grpc::Service*>& services);

  // Ends what is still open, with CANCELLED. Serve leaves by process exit instead, after its services have answered
  // all that they took: a call that races with gRPC's own shutdown is told CANCELLED, which clients do not repeat,
  // while a closed connection tells them UNAVAILABLE, which they do.
  ~GrpcServer();

  // What grpc.health.v1 answers; at the start, false.
  void SetServing(bool serving);

  // In the order of options.addresses.
  const std::vector<int>& ports() const { return ports_; }

 private:
  GrpcServer() = default;

  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<net::RawListener> listener_;
  std::vector<int> ports_;
  std::vector<std::string> health_names_;
};

}  // namespace hikyaku

#endif  // HIKYAKU_SERVICES_COMMON_GRPC_SERVER_H_
