#include "lib/net/dialer.h"

#include <sys/un.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/net/deadline.h"
#include "lib/net/tcp_stream.h"

namespace hikyaku::net {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

bool IsUnspecified(const address::IpAddress& address) {
  return address.bytes().find_first_not_of('\0') == absl::string_view::npos;
}

// Whether packets to `to` stay on this machine. Connecting a UDP socket sends nothing, but picks the route: to an
// address of this machine, the kernel comes from that same address (from 127.0.0.1 for all of 127.0.0.0/8).
bool IsThisMachine(const Executor& executor, const Endpoint& to) {
  const tcp::endpoint target = ToAsio(to);
  if (target.address().is_loopback() || target.address().is_unspecified()) return true;
  error_code error;
  asio::ip::udp::socket probe(executor);
  probe.open(target.address().is_v4() ? asio::ip::udp::v4() : asio::ip::udp::v6(), error);
  if (!error) probe.connect({target.address(), target.port()}, error);
  if (error) return false;  // No route: the connection will fail as well.
  const auto local = probe.local_endpoint(error);
  return !error && local.address() == target.address();
}

absl::Status Bind(tcp::socket& socket, const address::IpAddress& source) {
  error_code error;
  const tcp::endpoint local = ToAsio({source, 0});
  socket.bind(local, error);
  if (error) return absl::InvalidArgumentError(absl::StrCat("source ", source.ToString(), ": ", error.message()));
  return absl::OkStatus();
}

// `socket` outlives the await.
awaitable<absl::Status> Connect(tcp::socket& socket, Endpoint to) {
  const auto [error] = co_await socket.async_connect(ToAsio(to), kNoThrow);
  if (!error) co_return absl::OkStatus();
  const std::string what = absl::StrCat("connect to ", to.text());
  // On IPv4 no port is left; on IPv6 it is what a machine without an address of that family says.
  if (error == boost::system::errc::address_not_available && to.address.is_v4()) {
    co_return absl::ResourceExhaustedError(absl::StrCat(what, ": ", error.message()));
  }
  co_return ToStatus(error, what);
}

// `socket` and `path` outlive the await.
awaitable<absl::Status> ConnectUnix(asio::local::stream_protocol::socket& socket, const std::string& path) {
  const auto [error] = co_await socket.async_connect(asio::local::stream_protocol::endpoint(path), kNoThrow);
  co_return error ? ToStatus(error, absl::StrCat("connect to ", path)) : absl::OkStatus();
}

awaitable<absl::StatusOr<std::unique_ptr<Stream>>> DialUnix(std::string path, absl::Duration limit) {
  // Asio would throw.
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    co_return absl::InvalidArgumentError(absl::StrCat(path, ": too long"));
  const Executor executor = co_await asio::this_coro::executor;
  asio::local::stream_protocol::socket socket(executor);
  error_code error;
  socket.open(asio::local::stream_protocol(), error);
  if (error) co_return ToStatus(error, "socket");
  CO_RETURN_IF_ERROR(co_await WithDeadline(limit, ConnectUnix(socket, path)));
  co_return MakeUnixStream(std::move(socket));
}

}  // namespace

TcpDialer::TcpDialer(EgressGuard guard, std::vector<Endpoint> own_endpoints)
    : guard_(std::move(guard)), own_endpoints_(std::move(own_endpoints)) {}

bool TcpDialer::IsOwnListener(const Executor& executor, const Endpoint& to) const {
  return std::any_of(own_endpoints_.begin(), own_endpoints_.end(), [&](const Endpoint& own) {
    if (own.port != to.port) return false;
    return own.address == to.address || (IsUnspecified(own.address) && IsThisMachine(executor, to));
  });
}

awaitable<absl::StatusOr<std::unique_ptr<Stream>>> TcpDialer::Dial(Endpoint to, DialOptions options) {
  if (!options.unix_path.empty()) co_return co_await DialUnix(std::move(options.unix_path), options.limit);
  to.address = to.address.Unmapped();
  if (!options.named_by_operator) CO_RETURN_IF_ERROR(guard_.Check(to.address));
  const Executor executor = co_await asio::this_coro::executor;
  if (IsOwnListener(executor, to)) {
    co_return absl::FailedPreconditionError(absl::StrCat(to.text(), " is our own listener"));
  }
  tcp::socket socket(executor);
  error_code error;
  socket.open(to.address.is_v4() ? tcp::v4() : tcp::v6(), error);
  if (error) co_return ToStatus(error, "socket");
  if (options.source) CO_RETURN_IF_ERROR(Bind(socket, *options.source));
  CO_RETURN_IF_ERROR(co_await WithDeadline(options.limit, Connect(socket, to)));
  co_return MakeTcpStream(std::move(socket));
}

}  // namespace hikyaku::net
