// The checks of single values: each says what is wrong and what to do, or nothing when the value is good.
//
// Threading: pure functions.
#ifndef HIKYAKU_LIB_CONFIG_FIELD_CHECKS_H_
#define HIKYAKU_LIB_CONFIG_FIELD_CHECKS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::config {

struct HostPort {
  std::string host;  // Without brackets.
  int port = -1;     // -1 when there is none.
};

// Splits "host:port", "[::1]:port", "host" and "[::1]". A message when the text has none of these shapes.
std::string SplitHostPort(absl::string_view text, HostPort* out);

// "IP:PORT" that can be listened on; port 0 lets the kernel choose.
std::string CheckListenAddress(absl::string_view text);
// "HOST:PORT" whose host is this machine's own loopback: an address of it, or "localhost".
bool IsLoopbackAddress(absl::string_view text);
// "IP:PORT" of a server.
std::string CheckServerAddress(absl::string_view text);
// "NAME:PORT" or "IP:PORT" of a server.
std::string CheckRemoteAddress(absl::string_view text);

// A host name as EHLO and Message-ID need it: fully qualified, in A-labels.
std::string CheckFqdn(absl::string_view text);
// "user@example.com", in ASCII.
std::string CheckMailAddress(absl::string_view text);
std::string CheckIp(absl::string_view text);
std::string CheckCidr(absl::string_view text);
// Letters, digits, hyphens: a shard's name is part of host names and of stored records.
std::string CheckShardName(absl::string_view text);
// "example.com", ".example.com", an address literal or "*".
std::string CheckRouteDomain(absl::string_view text);
// "[host]:port", "[192.0.2.1]", "host:port", "host".
std::string CheckRouteTarget(absl::string_view text);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_FIELD_CHECKS_H_
