#include "lib/address/route_target.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/address/domain.h"
#include "lib/base/status_macros.h"

namespace hikyaku::address {
namespace {

using Kind = RouteTarget::Kind;

constexpr std::size_t kMaxSocketPath = 107;  // sun_path without its NUL.
constexpr std::size_t kMaxText = 400;        // With the code and the address it must fit into a reply of 512 octets.

absl::StatusOr<std::uint16_t> ParsePort(absl::string_view text) {
  std::uint32_t port = 0;
  if (!absl::SimpleAtoi(text, &port) || port == 0 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not a port (1 to 65535)"));
  }
  return static_cast<std::uint16_t>(port);
}

// "[…]" without a port: an address in either spelling, or a host.
absl::Status ParseBracketed(absl::string_view inside, RouteTarget* target) {
  target->mx_lookup = false;
  auto literal = ParseAddressLiteral(absl::StrCat("[", inside, "]"));
  if (!literal.ok()) literal = IpAddress::Parse(inside);
  if (literal.ok()) {
    target->literal = *literal;
    target->host = literal->ToLiteral();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(target->host, ToALabel(inside));
  return absl::OkStatus();
}

absl::Status ParseHost(absl::string_view to, RouteTarget* target) {
  absl::string_view port;
  if (absl::StartsWith(to, "[")) {
    const std::size_t end = to.find(']');
    if (end == absl::string_view::npos) return absl::InvalidArgumentError("the \"]\" is missing");
    RETURN_IF_ERROR(ParseBracketed(to.substr(1, end - 1), target));
    port = to.substr(end + 1);
    if (!port.empty() && port[0] != ':') return absl::InvalidArgumentError("only \":port\" may follow the \"]\"");
  } else {
    const std::size_t colon = to.find(':');
    const absl::string_view host = to.substr(0, colon);
    if (IpAddress::Parse(host).ok() || IpAddress::Parse(to).ok()) {
      return absl::InvalidArgumentError("an address needs brackets: \"[192.0.2.1]:25\", \"[2001:db8::1]:25\"");
    }
    ASSIGN_OR_RETURN(target->host, ToALabel(host));
    if (colon != absl::string_view::npos) port = to.substr(colon);
  }
  if (!port.empty()) {
    ASSIGN_OR_RETURN(target->port, ParsePort(port.substr(1)));
  }
  return absl::OkStatus();
}

absl::Status ParseLmtp(absl::string_view rest, RouteTarget* target) {
  target->mx_lookup = false;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    if (!absl::StartsWith(rest, "/") || rest.size() > kMaxSocketPath) {
      return absl::InvalidArgumentError("a socket is named by its full path: \"lmtp:unix:/run/dovecot/lmtp\"");
    }
    target->path = std::string(rest);
    return absl::OkStatus();
  }
  absl::ConsumePrefix(&rest, "inet:");
  if (rest.empty()) return absl::InvalidArgumentError("the host is missing: \"lmtp:[host]:24\", \"lmtp:unix:/path\"");
  RETURN_IF_ERROR(ParseHost(rest, target));
  target->mx_lookup = false;
  return absl::OkStatus();
}

absl::Status ParseMaildir(absl::string_view rest, RouteTarget* target) {
  for (const absl::string_view part : absl::StrSplit(rest, '/')) {
    if (part == ".." || part == ".") return absl::InvalidArgumentError("the folder may not have \"..\" or \".\" in it");
  }
  if (rest.find_first_not_of('/') == absl::string_view::npos) {
    return absl::InvalidArgumentError("the folder is missing: \"maildir:archive\"");
  }
  target->path = std::string(rest);
  return absl::OkStatus();
}

// "5.1.1": class 5, and two numbers of up to three digits.
bool IsPermanentCode(absl::string_view word) {
  if (!absl::ConsumePrefix(&word, "5.")) return false;
  const std::size_t dot = word.find('.');
  if (dot == absl::string_view::npos) return false;
  for (const absl::string_view number : {word.substr(0, dot), word.substr(dot + 1)}) {
    if (number.empty() || number.size() > 3 || number.find_first_not_of("0123456789") != absl::string_view::npos) {
      return false;
    }
  }
  return true;
}

absl::Status ParseReject(absl::string_view rest, RouteTarget* target) {
  rest = absl::StripAsciiWhitespace(rest);
  const absl::string_view word = rest.substr(0, rest.find(' '));
  if (IsPermanentCode(word)) {
    target->enhanced = std::string(word);
    rest = absl::StripAsciiWhitespace(rest.substr(word.size()));
  } else if (!word.empty() && word.find_first_not_of("0123456789.") == absl::string_view::npos &&
             absl::StrContains(word, '.')) {
    return absl::InvalidArgumentError(absl::StrCat(word, " is no code of a refusal: write one as 5.7.1"));
  } else {
    target->enhanced = "5.7.1";
  }
  if (rest.empty()) return absl::InvalidArgumentError("the text is missing: \"reject:this domain takes no mail\"");
  if (rest.size() > kMaxText) return absl::InvalidArgumentError(absl::StrCat("the text is longer than ", kMaxText));
  target->text = std::string(rest);
  return absl::OkStatus();
}

absl::Status ParseDiscard(absl::string_view rest, RouteTarget* target) {
  rest = absl::StripAsciiWhitespace(rest);
  if (rest.size() > kMaxText) return absl::InvalidArgumentError(absl::StrCat("the text is longer than ", kMaxText));
  target->text = rest.empty() ? "discarded by a route" : std::string(rest);
  return absl::OkStatus();
}

absl::Status ParseSmtp(absl::string_view rest, RouteTarget* target) {
  return rest.empty() ? absl::OkStatus() : ParseHost(rest, target);
}

struct Scheme {
  absl::string_view word;
  Kind kind;
  absl::Status (*parse)(absl::string_view rest, RouteTarget* target);
};

constexpr Scheme kSchemes[] = {
    {"smtp:", Kind::kSmtp, ParseSmtp},          {"lmtp:", Kind::kLmtp, ParseLmtp},
    {"discard:", Kind::kDiscard, ParseDiscard}, {"maildir:", Kind::kMaildir, ParseMaildir},
    {"reject:", Kind::kReject, ParseReject},    {"error:", Kind::kReject, ParseReject},
};

// The scheme of `to`, which is then left with what follows; nothing: a host.
const Scheme* TakeScheme(absl::string_view* to) {
  for (const Scheme& scheme : kSchemes) {
    absl::string_view rest = *to;
    if (!absl::ConsumePrefix(&rest, scheme.word)) continue;
    if (!rest.empty() && rest.find_first_not_of("0123456789") == absl::string_view::npos) return nullptr;
    if (scheme.kind == Kind::kSmtp || scheme.kind == Kind::kLmtp) absl::ConsumePrefix(&rest, "//");
    *to = rest;
    return &scheme;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<RouteTarget> ParseRouteTarget(absl::string_view to) {
  RouteTarget target;
  const Scheme* scheme = TakeScheme(&to);
  if (scheme == nullptr) {
    RETURN_IF_ERROR(ParseHost(to, &target));
    return target;
  }
  target.kind = scheme->kind;
  RETURN_IF_ERROR(scheme->parse(to, &target));
  return target;
}

std::optional<absl::string_view> RouteTargetHost(absl::string_view to) {
  const Scheme* scheme = TakeScheme(&to);
  if (scheme == nullptr) return to;
  if (scheme->kind == Kind::kLmtp) absl::ConsumePrefix(&to, "inet:");
  const bool host = scheme->kind == Kind::kSmtp || (scheme->kind == Kind::kLmtp && !absl::StartsWith(to, "unix:"));
  return host && !to.empty() ? std::optional(to) : std::nullopt;
}

}  // namespace hikyaku::address
