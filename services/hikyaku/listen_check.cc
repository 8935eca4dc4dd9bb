#include "services/hikyaku/listen_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/net/endpoint.h"

namespace hikyaku::cli {
namespace {

// errno of the attempt; 0 if it can be bound.
int TryBind(const net::Endpoint& at) {
  sockaddr_storage storage{};
  socklen_t size;
  if (at.address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(at.port);
    std::memcpy(&in.sin_addr, at.address.bytes().data(), 4);
    size = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(at.port);
    std::memcpy(&in6.sin6_addr, at.address.bytes().data(), 16);
    size = sizeof in6;
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int on = 1;
  // As the listeners themselves: connections of an earlier run in TIME_WAIT do not count, and :: is IPv6 only.
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const int error = bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) == 0 ? 0 : errno;
  close(fd);
  return error;
}

std::string Explain(int error) {
  switch (error) {
    case EADDRINUSE: return "is in use: stop the other process, or write another port";
    case EADDRNOTAVAIL: return "is no address of this machine: write one of its own";
    case EACCES: return "needs a privilege: write a port from 1024, or give the process CAP_NET_BIND_SERVICE";
    default: return absl::StrCat("cannot be listened on: ", std::strerror(error), ": write another address");
  }
}

}  // namespace

absl::Status CheckListeners(const v1::Config& config, config::Role role, const config::SourceMap& source) {
  const auto check = [&](const auto& listeners, absl::string_view kind) -> absl::Status {
    for (int i = 0; i < listeners.size(); ++i) {
      const std::string& address = listeners.Get(i).address();
      ASSIGN_OR_RETURN(const net::Endpoint at, net::ParseEndpoint(address));
      const int error = TryBind(at);
      if (error == 0) continue;
      return source.Error(absl::StrCat("listeners.", kind, "[", i, "].address"),
                          absl::StrCat(address, " ", Explain(error)));
    }
    return absl::OkStatus();
  };
  const v1::Listeners& all = config.listeners();
  if (config::HasSubmission(role)) {
    RETURN_IF_ERROR(check(all.grpc(), "grpc"));
    RETURN_IF_ERROR(check(all.smtp(), "smtp"));
  }
  if (role == config::Role::kQueue) RETURN_IF_ERROR(check(all.internal(), "internal"));
  return check(all.http(), "http");
}

}  // namespace hikyaku::cli
