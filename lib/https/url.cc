#include "lib/https/url.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"

namespace hikyaku::https {
namespace {

constexpr absl::string_view kScheme = "https://";
constexpr std::uint16_t kHttpsPort = 443;
constexpr int kFirstFreePort = 1024;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("the URL ", what)); }

// RFC 3986: what stands in a path or a query, or may be taken for it; never what could end a line or a request.
bool MayStand(char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\' && c != '`'; }

absl::StatusOr<std::uint16_t> ParsePort(absl::string_view text) {
  int port = 0;
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (text.empty() || text.size() > 5 || !digits || !absl::SimpleAtoi(text, &port) || port > 65'535) {
    return Bad("has no port behind its \":\"");
  }
  if (port != kHttpsPort && port < kFirstFreePort) return Bad("has a port that is neither 443 nor above 1023");
  return static_cast<std::uint16_t>(port);
}

}  // namespace

std::string Url::Origin() const {
  return absl::StrCat(kScheme, host, port == kHttpsPort ? "" : absl::StrCat(":", port));
}

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  if (text.size() > kMaxUrlOctets) return Bad(absl::StrCat("is longer than ", kMaxUrlOctets, " octets"));
  if (!absl::StartsWithIgnoreCase(text, kScheme)) return Bad("does not begin with \"https://\"");
  if (!std::all_of(text.begin(), text.end(), MayStand)) return Bad("has a character that must be written as %XX");
  text.remove_prefix(kScheme.size());
  const std::size_t end = std::min(text.find_first_of("/?#"), text.size());
  const absl::string_view authority = text.substr(0, end);
  const absl::string_view rest = text.substr(end);
  if (absl::StrContains(authority, "@")) return Bad("has a login");
  if (absl::StartsWith(authority, "[")) return Bad("has an address for a host; a name is expected");
  if (absl::StrContains(rest, "#")) return Bad("has a fragment");
  Url url;
  const std::size_t colon = authority.find(':');
  if (colon != absl::string_view::npos) {
    ASSIGN_OR_RETURN(url.port, ParsePort(authority.substr(colon + 1)));
  }
  auto host = address::ToALabel(authority.substr(0, colon));
  if (!host.ok()) return Bad(absl::StrCat("has no host: ", host.status().message()));
  if (!address::IsFqdn(*host)) return Bad("has a host without a dot");
  url.host = *std::move(host);
  url.target = absl::StartsWith(rest, "/") ? std::string(rest) : absl::StrCat("/", rest);
  return url;
}

}  // namespace hikyaku::https
