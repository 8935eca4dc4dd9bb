#include "lib/config/field_checks.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/address/address.h"
#include "lib/address/domain.h"
#include "lib/address/literal.h"

namespace hikyaku::config {
namespace {

using address::IpAddress;

std::string Wrong(absl::string_view text, absl::string_view what) {
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text.substr(0, 100)), "\" ", what);
}

bool ParsePort(absl::string_view text, int* port) {
  std::uint32_t value;
  if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != absl::string_view::npos) return false;
  if (!absl::SimpleAtoi(text, &value) || value > 65535) return false;
  *port = static_cast<int>(value);
  return true;
}

constexpr absl::string_view kIpPort = "is no IP:PORT: write it as in 127.0.0.1:7025 or [::1]:7025";

std::string CheckIpPort(absl::string_view text, int min_port, HostPort* out) {
  if (!SplitHostPort(text, out).empty() || out->port < 0) return Wrong(text, kIpPort);
  if (!IpAddress::Parse(out->host).ok()) return Wrong(text, kIpPort);
  if (out->port < min_port) return Wrong(text, "has port 0: write the port of the server");
  return "";
}

bool IsLoopback(absl::string_view host) {
  const absl::StatusOr<IpAddress> ip = IpAddress::Parse(host);
  if (!ip.ok()) return false;
  return ip->is_v4() ? ip->bytes()[0] == 127 : *ip == *IpAddress::Parse("::1");
}

std::string CheckHost(absl::string_view text, absl::string_view host) {
  if (IpAddress::Parse(host).ok()) return "";
  const absl::StatusOr<std::string> name = address::ToALabel(host);
  if (!name.ok()) return Wrong(text, absl::StrCat("has no valid host: ", std::string(name.status().message())));
  return "";
}

}  // namespace

std::string SplitHostPort(absl::string_view text, HostPort* out) {
  constexpr absl::string_view kShape = "is no HOST:PORT: write it as in mx.example.com:25 or [::1]:25";
  absl::string_view rest;
  out->port = -1;
  if (absl::StartsWith(text, "[")) {
    const std::size_t end = text.find(']');
    if (end == absl::string_view::npos) return Wrong(text, "lacks its closing bracket: write it as in [::1]:25");
    out->host = std::string(text.substr(1, end - 1));
    rest = text.substr(end + 1);
  } else {
    const std::size_t colon = text.find(':');
    out->host = std::string(text.substr(0, colon));
    rest = colon == absl::string_view::npos ? absl::string_view() : text.substr(colon);
    if (absl::StrContains(rest.substr(rest.empty() ? 0 : 1), ":")) return Wrong(text, kShape);
  }
  if (out->host.empty()) return Wrong(text, kShape);
  if (rest.empty()) return "";
  if (rest[0] != ':' || !ParsePort(rest.substr(1), &out->port)) {
    return Wrong(text, "has no valid port: write a number from 0 to 65535 behind the last colon");
  }
  return "";
}

std::string CheckListenAddress(absl::string_view text) {
  HostPort parts;
  return CheckIpPort(text, 0, &parts);
}

bool IsLoopbackAddress(absl::string_view text) {
  HostPort parts;
  return SplitHostPort(text, &parts).empty() && (parts.host == "localhost" || IsLoopback(parts.host));
}

std::string CheckServerAddress(absl::string_view text) {
  HostPort parts;
  return CheckIpPort(text, 1, &parts);
}

std::string CheckRemoteAddress(absl::string_view text) {
  HostPort parts;
  if (std::string wrong = SplitHostPort(text, &parts); !wrong.empty()) return wrong;
  if (parts.port < 1) return Wrong(text, "has no port: write HOST:PORT, as in 127.0.0.1:7026");
  return CheckHost(text, parts.host);
}

std::string CheckFqdn(absl::string_view text) {
  const absl::StatusOr<std::string> name = address::ToALabel(text);
  if (!name.ok()) {
    return Wrong(text, absl::StrCat("is no host name: ", std::string(name.status().message()),
                                    ": write one as in mail.example.jp"));
  }
  if (!address::IsFqdn(*name)) {
    return Wrong(text, "is not fully qualified: write the name with its domain, as in mail.example.jp");
  }
  if (*name != absl::AsciiStrToLower(text)) return Wrong(text, absl::StrCat("is not in A-labels: write ", *name));
  return "";
}

std::string CheckMailAddress(absl::string_view text) {
  const absl::StatusOr<address::Address> address = address::ParseAddress(text);
  if (!address.ok() || address->NeedsSmtpUtf8()) {
    return Wrong(text, "is no mail address in ASCII: write one as in MAILER-DAEMON@mail.example.jp");
  }
  return "";
}

std::string CheckIp(absl::string_view text) {
  if (IpAddress::Parse(text).ok()) return "";
  return Wrong(text, "is no IP address: write one as in 192.0.2.1 or 2001:db8::1");
}

std::string CheckCidr(absl::string_view text) {
  const absl::StatusOr<address::Cidr> range = address::Cidr::Parse(text);
  if (range.ok()) return "";
  return Wrong(text, absl::StrCat("is no range: ", std::string(range.status().message()),
                                  ": write one as in 10.0.0.0/8 or ::1/128"));
}

std::string CheckShardName(absl::string_view text) {
  constexpr std::size_t kMaxName = 63;  // One label of a host name.
  bool good = !text.empty() && text.size() <= kMaxName && text.front() != '-' && text.back() != '-';
  for (const char c : text) good = good && (absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-');
  return good ? "" : Wrong(text, "is no shard name: write at most 63 of a-z, 0-9 and -, as in q0");
}

std::string CheckRouteDomain(absl::string_view text) {
  if (text == "*") return "";
  if (absl::StartsWith(text, "[")) {
    const absl::StatusOr<IpAddress> literal = address::ParseAddressLiteral(text);
    if (literal.ok()) return "";
    return Wrong(text, absl::StrCat("is no address literal: ", std::string(literal.status().message()),
                                    ": write one as in [192.0.2.1] or [IPv6:2001:db8::1]"));
  }
  absl::string_view name = text;
  absl::ConsumePrefix(&name, ".");
  const absl::StatusOr<std::string> domain = address::ToALabel(name);
  if (domain.ok()) return "";
  return Wrong(text, absl::StrCat("is no domain: ", std::string(domain.status().message()),
                                  ": write example.com, .example.com, [192.0.2.1] or \"*\""));
}

std::string CheckRouteTarget(absl::string_view text) {
  HostPort parts;
  if (std::string wrong = SplitHostPort(text, &parts); !wrong.empty()) return wrong;
  if (parts.port == 0) return Wrong(text, "has port 0: write the port of the host");
  absl::string_view host = parts.host;
  if (absl::StartsWith(text, "[") && absl::StartsWithIgnoreCase(host, "IPv6:")) host.remove_prefix(5);
  if (!absl::StartsWith(text, "[") && IpAddress::Parse(host).ok()) {
    return Wrong(text, absl::StrCat("is an address: write it in brackets, as in [", host, "]:25"));
  }
  return CheckHost(text, host);
}

}  // namespace hikyaku::config
