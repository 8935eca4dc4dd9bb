// The header with which a connection tells HAProxy where it comes from and where it goes, written only.
//
// Source:     the PROXY protocol, version 2, §2.2 (haproxy.org/download/2.6/doc/proxy-protocol.txt).
// Threading:  pure.
#ifndef HIKYAKU_LIB_NET_PROXY_HEADER_H_
#define HIKYAKU_LIB_NET_PROXY_HEADER_H_

#include <string>

#include "lib/net/endpoint.h"

namespace hikyaku::net {

// For a TCP connection from `source` to `to`, which are of one family. Port 0 in `source` leaves it to the proxy.
std::string ProxyHeader(const Endpoint& source, const Endpoint& to);

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_PROXY_HEADER_H_
