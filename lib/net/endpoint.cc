#include "lib/net/endpoint.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace hikyaku::net {
namespace {

absl::Status Wrong(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("`", text, "` is not an address and port such as 192.0.2.1:25 or [2001:db8::1]:25"));
}

}  // namespace

std::string Endpoint::text() const {
  if (address.is_v6()) return absl::StrCat("[", address.ToString(), "]:", port);
  return absl::StrCat(address.ToString(), ":", port);
}

absl::StatusOr<Endpoint> ParseEndpoint(absl::string_view text, std::uint16_t default_port) {
  const bool bracketed = !text.empty() && text.front() == '[';
  const std::size_t closing = text.find(']');
  if (bracketed && closing == absl::string_view::npos) return Wrong(text);
  const absl::string_view host = bracketed ? text.substr(1, closing - 1) : text.substr(0, text.find(':'));
  absl::string_view rest = text.substr(bracketed ? closing + 1 : host.size());

  const auto parsed = address::IpAddress::Parse(host);
  if (!parsed.ok() || parsed->is_v6() != bracketed) return Wrong(text);
  if (rest.empty() && default_port != 0) return Endpoint{*parsed, default_port};

  std::uint32_t port = 0;
  const bool digits = rest.size() >= 2 && rest.size() <= 6 && rest.find_first_not_of("0123456789", 1) == rest.npos;
  if (!digits || rest.front() != ':' || !absl::SimpleAtoi(rest.substr(1), &port) || port > 65535) return Wrong(text);
  return Endpoint{*parsed, static_cast<std::uint16_t>(port)};
}

}  // namespace hikyaku::net
