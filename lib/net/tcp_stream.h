// A Stream over a TCP or Unix socket. Only lib/net makes one: see TcpDialer and Listener.
#ifndef HIKYAKU_LIB_NET_TCP_STREAM_H_
#define HIKYAKU_LIB_NET_TCP_STREAM_H_

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/net/asio.h"
#include "lib/net/endpoint.h"
#include "lib/net/stream.h"

namespace hikyaku::net {

// Takes a connected socket, whose executor becomes the stream's; sets TCP_NODELAY, since we gather what belongs
// together ourselves. kUnavailable where the peer has gone already.
absl::StatusOr<std::unique_ptr<Stream>> MakeTcpStream(asio::ip::tcp::socket socket);

// The same for a Unix socket, whose two ends are told as 0.0.0.0:0.
absl::StatusOr<std::unique_ptr<Stream>> MakeUnixStream(asio::local::stream_protocol::socket socket);

// Our endpoints and Asio's. From a dual-stack socket, `::ffff:192.0.2.1` becomes 192.0.2.1.
asio::ip::tcp::endpoint ToAsio(const Endpoint& endpoint);
Endpoint FromAsio(const asio::ip::tcp::endpoint& endpoint);

// The one place where error codes become Status: kOutOfRange for the end of the stream, kCancelled for an aborted
// operation, kResourceExhausted where we lack descriptors or memory, else kUnavailable. `what` begins the text.
absl::Status ToStatus(const boost::system::error_code& error, absl::string_view what);

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_TCP_STREAM_H_
