// Connects by way of an egress proxy where DialOptions name one: SOCKS 5, or an HAProxy that is told by its own
// protocol.
//
// Source:     RFC 1928, RFC 1929 (socks5.h); the PROXY protocol, version 2 (proxy_header.h).
// Threading:  as Dialer.
//
// The egress guard is asked about the far end, as for a direct connection: a proxy is no way around it. Errors are
// Dialer's; what is the proxy's fault is kResourceExhausted (our side lacks what it needs), so that the far end is not
// blamed. HAProxy connects when the header has come and says nothing: a far end that it cannot reach is a connection
// that closes before the greeting.
#ifndef HIKYAKU_LIB_NET_PROXY_DIALER_H_
#define HIKYAKU_LIB_NET_PROXY_DIALER_H_

#include <memory>

#include "lib/net/dialer.h"
#include "lib/net/egress_guard.h"

namespace hikyaku::net {

class ProxyDialer : public Dialer {
 public:
  // `guard` is that of `direct`, which makes every connection.
  ProxyDialer(EgressGuard guard, std::shared_ptr<Dialer> direct);

  awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(Endpoint to, DialOptions options) override;

 private:
  const EgressGuard guard_;
  const std::shared_ptr<Dialer> direct_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_PROXY_DIALER_H_
