// URLs that strangers tell us to send something to.
//
// Source:     RFC 3986, RFC 9110 §4.2.2 (https).
// Non-goals:  whether the host may be reached: the egress guard judges its addresses.
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_HTTPS_URL_H_
#define HIKYAKU_LIB_HTTPS_URL_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::https {

inline constexpr std::size_t kMaxUrlOctets = 2000;

struct Url {
  std::string host;  // A-label, lower case.
  std::uint16_t port = 443;
  std::string target;  // Path and query; "/" at least.

  // "https://web.example.net", with the port where it is another one.
  std::string Origin() const;
};

// kInvalidArgument says what is wrong: another scheme, a login, a fragment, an address instead of a name (no authority
// certifies it), a character that may not stand there; or a port below 1024 other than 443, where something else than
// the web listens that nobody should make us talk to.
absl::StatusOr<Url> ParseUrl(absl::string_view text);

}  // namespace hikyaku::https

#endif  // HIKYAKU_LIB_HTTPS_URL_H_
