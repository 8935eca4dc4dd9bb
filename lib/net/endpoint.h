// An address and a port.
#ifndef HIKYAKU_LIB_NET_ENDPOINT_H_
#define HIKYAKU_LIB_NET_ENDPOINT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/address/literal.h"

namespace hikyaku::net {

struct Endpoint {
  address::IpAddress address;
  std::uint16_t port = 0;

  // `192.0.2.1:25` or `[2001:db8::1]:25`.
  std::string text() const;

  bool operator==(const Endpoint&) const = default;
};

// Reads what text() writes; `default_port` is used where the port is missing, and 0 makes the port required.
// kInvalidArgument says what was expected. Host names are not resolved.
absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, std::uint16_t default_port = 0);

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_ENDPOINT_H_
