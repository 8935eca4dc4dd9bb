#include "lib/address/address.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/address/domain.h"
#include "lib/address/literal.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"

namespace hikyaku::address {
namespace {

absl::Status Invalid(absl::string_view why) { return absl::InvalidArgumentError(why); }

absl::Status TooLong(absl::string_view what, std::size_t limit) {
  return absl::OutOfRangeError(absl::StrCat("the ", what, " is longer than ", limit, " octets"));
}

bool IsAscii(unsigned char c) { return c < 0x80; }

// RFC 5321 §4.1.2 with RFC 5322 §3.2.3; UTF-8 is checked apart.
bool IsAtext(unsigned char c) {
  constexpr absl::string_view kSpecials = "!#$%&'*+-/=?^_`{|}~";
  return absl::ascii_isalnum(c) || kSpecials.find(static_cast<char>(c)) != absl::string_view::npos;
}

// What RFC 6531 §3.3 adds to atext and qtext, without the C1 controls and the two line separators, which careless
// software takes for the end of a line.
bool IsAllowedBeyondAscii(char32_t c) { return c >= 0xA0 && c != 0x2028 && c != 0x2029; }

bool IsDotAtom(absl::string_view content) {
  if (content.empty() || content.front() == '.' || content.back() == '.' || absl::StrContains(content, "..")) {
    return false;
  }
  return std::all_of(content.begin(), content.end(),
                     [](unsigned char c) { return !IsAscii(c) || IsAtext(c) || c == '.'; });
}

absl::Status CheckContent(absl::string_view content) {
  while (!content.empty()) {
    const std::optional<char32_t> c = TakeUtf8(content);
    if (!c) return Invalid("the local part is not valid UTF-8");
    const bool printable = *c < 0x80 ? absl::ascii_isprint(static_cast<unsigned char>(*c)) : IsAllowedBeyondAscii(*c);
    if (!printable) return Invalid("the local part holds a control character");
  }
  return absl::OkStatus();
}

std::string CanonicalLocal(absl::string_view content) {
  if (IsDotAtom(content)) return std::string(content);
  std::string quoted = "\"";
  for (const char c : content) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

// Takes a Dot-string up to the first character that cannot stand in one.
absl::StatusOr<std::string> TakeDotString(absl::string_view& text) {
  std::size_t n = 0;
  while (n < text.size()) {
    const unsigned char c = static_cast<unsigned char>(text[n]);
    if (IsAscii(c) && !IsAtext(c) && c != '.') break;
    ++n;
  }
  const absl::string_view content = text.substr(0, n);
  if (content.empty()) return Invalid("the address has no local part");
  if (!IsDotAtom(content)) return Invalid("the local part has a dot at an end or two in a row: quote it");
  text.remove_prefix(n);
  return std::string(content);
}

// Takes a Quoted-string and returns its content. What qtextSMTP excludes is left to CheckContent.
absl::StatusOr<std::string> TakeQuotedString(absl::string_view& text) {
  std::string content;
  for (std::size_t n = 1; n < text.size(); ++n) {
    if (text[n] == '"') {
      text.remove_prefix(n + 1);
      return content;
    }
    if (text[n] == '\\') {
      ++n;
      if (n == text.size() || !absl::ascii_isprint(static_cast<unsigned char>(text[n]))) {
        return Invalid("a backslash in the local part stands before no printable ASCII character");
      }
    }
    content.push_back(text[n]);
  }
  return Invalid("the local part has no closing quote");
}

absl::StatusOr<std::string> TakeLocal(absl::string_view& text) {
  return absl::StartsWith(text, "\"") ? TakeQuotedString(text) : TakeDotString(text);
}

absl::Status SetDomain(absl::string_view text, Address& address) {
  if (absl::StartsWith(text, "[")) {
    ASSIGN_OR_RETURN(const IpAddress ip, ParseAddressLiteral(text));
    address.domain = ip.ToLiteral();
    address.literal = true;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(address.domain, ToALabel(text));
  return absl::OkStatus();
}

// What may follow a path's `>`.
absl::StatusOr<absl::string_view> RestAfterBracket(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, ">")) return Invalid("the path has no closing \">\" where one is expected");
  if (!text.empty() && text.front() != ' ') return Invalid("the closing \">\" is followed by no space");
  return text;
}

}  // namespace

std::string Address::ToString() const { return domain.empty() ? local : absl::StrCat(local, "@", domain); }

bool Address::NeedsSmtpUtf8() const {
  return !std::all_of(local.begin(), local.end(), [](unsigned char c) { return IsAscii(c); });
}

absl::StatusOr<Address> MakeAddress(absl::string_view local_content, absl::string_view domain) {
  if (local_content.size() > kMaxLocalOctets) return TooLong("local part", kMaxLocalOctets);
  RETURN_IF_ERROR(CheckContent(local_content));
  Address address;
  address.local = CanonicalLocal(local_content);
  if (address.local.size() > kMaxLocalOctets) return TooLong("local part", kMaxLocalOctets);
  RETURN_IF_ERROR(SetDomain(domain, address));
  if (address.local.size() + 1 + address.domain.size() > kMaxAddressOctets) {
    return TooLong("address", kMaxAddressOctets);
  }
  return address;
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  if (text.empty()) return Invalid("the address is empty");
  if (text.size() > kMaxAddressOctets) return TooLong("address", kMaxAddressOctets);
  absl::string_view rest = text;
  ASSIGN_OR_RETURN(const std::string content, TakeLocal(rest));
  if (!absl::ConsumePrefix(&rest, "@")) {
    return Invalid(rest.empty() ? "the address has no \"@\"" : "a character in the local part needs quotes");
  }
  return MakeAddress(content, rest);
}

absl::StatusOr<Path> ParsePath(absl::string_view text, PathOptions options) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "<")) return Invalid("the path does not begin with \"<\"");
  Path path;
  if (absl::StartsWith(rest, ">")) {
    if (!options.allow_null) return Invalid("the null path <> is not allowed here");
    path.null = true;
    ASSIGN_OR_RETURN(path.rest, RestAfterBracket(rest));
    return path;
  }
  if (absl::StartsWith(rest, "@")) return Invalid("source routes are not accepted (RFC 5321 appendix C)");

  ASSIGN_OR_RETURN(const std::string content, TakeLocal(rest));
  if (absl::ConsumePrefix(&rest, "@")) {
    const std::size_t end = std::min(rest.find('>'), rest.size());
    const absl::string_view domain = rest.substr(0, end);
    rest.remove_prefix(end);
    ASSIGN_OR_RETURN(path.rest, RestAfterBracket(rest));
    if (text.size() - path.rest.size() > kMaxPathOctets) return TooLong("path", kMaxPathOctets);
    ASSIGN_OR_RETURN(path.address, MakeAddress(content, domain));
    return path;
  }
  if (!absl::StartsWith(rest, ">")) return Invalid("a character in the local part needs quotes");
  if (!options.allow_postmaster || !absl::EqualsIgnoreCase(content, "postmaster")) {
    return Invalid("the address has no domain");
  }
  path.bare_postmaster = true;
  path.address.local = content;
  ASSIGN_OR_RETURN(path.rest, RestAfterBracket(rest));
  return path;
}

}  // namespace hikyaku::address
