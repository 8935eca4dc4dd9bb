// Opens connections to other hosts: the door through which all outgoing mail passes, so the egress guard stands here.
//
// Threading: safe from every thread; the stream belongs to the executor of the calling coroutine.
#ifndef HIKYAKU_LIB_NET_DIALER_H_
#define HIKYAKU_LIB_NET_DIALER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"
#include "lib/net/asio.h"
#include "lib/net/egress_guard.h"
#include "lib/net/endpoint.h"
#include "lib/net/stream.h"

namespace hikyaku::net {

// By way of which a connection is made.
struct Proxy {
  enum class Kind { kSocks5, kHaproxy };

  Kind kind = Kind::kSocks5;
  Endpoint at;
  std::string user;  // kSocks5 only; empty: no login.
  std::string password;
};

struct DialOptions {
  absl::Duration limit = absl::Seconds(30);
  // The local address to connect from; nothing leaves it to the kernel.
  std::optional<address::IpAddress> source;
  // The operator's configuration names this very address (a route with an address literal): the egress guard does not
  // ask. It still never connects to our own listeners.
  bool named_by_operator = false;
  // Not empty: connect to this Unix socket; `to` and `source` count for nothing.
  std::string unix_path;
  // Only ProxyDialer knows proxies. With kHaproxy, `source` (which must be set) is the proxy's to connect from.
  std::shared_ptr<const Proxy> proxy;
};

class Dialer {
 public:
  virtual ~Dialer() = default;

  // Connects to `to` within `options.limit`.
  //
  // Errors, and what the caller does next:
  //   kPermissionDenied    The egress guard forbids the address.    Try the next address; time does not help.
  //   kFailedPrecondition  The address is one of our listeners.     A mail loop (RFC 5321 §5.1); 5.4.6 if we are best.
  //   kUnavailable         Refused, unreachable, reset.             Try the next address.
  //   kDeadlineExceeded    `limit` passed.                          Try the next address.
  //   kInvalidArgument     `source` cannot be bound for `to`.       Try the next address.
  //   kResourceExhausted   We have no descriptor or port left.      Our trouble, not the host's: defer.
  //   kCancelled           We are stopping.                         Give the lease back unchanged.
  virtual awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(Endpoint to, DialOptions options) = 0;
};

class TcpDialer : public Dialer {
 public:
  // `own_endpoints` are our listeners; an unspecified address (0.0.0.0, ::) stands for all addresses of the machine.
  TcpDialer(EgressGuard guard, std::vector<Endpoint> own_endpoints);

  awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(Endpoint to, DialOptions options) override;

 private:
  bool IsOwnListener(const Executor& executor, const Endpoint& to) const;

  const EgressGuard guard_;
  const std::vector<Endpoint> own_endpoints_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_DIALER_H_
