#include "lib/tls_report/record.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hikyaku::tls_report {
namespace {

constexpr absl::string_view kVersion = "v=TLSRPTv1";  // §3: with this case alone.
constexpr absl::string_view kMailto = "mailto:";

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

absl::string_view Trim(absl::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

// §3: what does not begin so is another's record and is passed over.
bool IsOurs(absl::string_view text) {
  if (!absl::StartsWith(text, kVersion)) return false;
  return absl::StartsWith(Trim(text.substr(kVersion.size())), ";");
}

bool IsUri(absl::string_view text) {
  if (!absl::StartsWithIgnoreCase(text, kMailto) && !absl::StartsWithIgnoreCase(text, "https:")) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// RFC 3986 §2.1. Nothing: a "%" without two digits.
std::optional<std::string> PercentDecode(absl::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    int value = 0;
    for (const char c : {text[i + 1], text[i + 2]}) {
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
      const char low = absl::ascii_tolower(static_cast<unsigned char>(c));
      value = value * 16 + (low <= '9' ? low - '0' : low - 'a' + 10);
    }
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

}  // namespace

std::string RecordName(absl::string_view domain) { return absl::StrCat("_smtp._tls.", domain); }

std::optional<std::vector<std::string>> ParseRecord(const std::vector<std::string>& texts) {
  if (std::count_if(texts.begin(), texts.end(), [](const std::string& text) { return IsOurs(text); }) != 1) {
    return std::nullopt;
  }
  const std::string& text = *std::find_if(texts.begin(), texts.end(), [](const std::string& t) { return IsOurs(t); });
  if (text.size() > kMaxRecordBytes) return std::nullopt;
  std::vector<std::string> uris;
  bool named = false;
  for (absl::string_view field : absl::StrSplit(absl::string_view(text), ';')) {
    field = Trim(field);
    if (!absl::StartsWith(field, "rua=")) continue;
    if (named) return std::nullopt;
    named = true;
    for (absl::string_view uri : absl::StrSplit(field.substr(4), ',')) {
      uri = Trim(uri);
      if (IsUri(uri) && uris.size() < kMaxAddresses) uris.emplace_back(uri);
    }
  }
  if (uris.empty()) return std::nullopt;
  return uris;
}

std::optional<address::Address> MailtoAddress(absl::string_view uri) {
  if (!absl::StartsWithIgnoreCase(uri, kMailto)) return std::nullopt;
  const absl::string_view path = uri.substr(kMailto.size());
  const std::optional<std::string> decoded = PercentDecode(path.substr(0, path.find('?')));
  if (!decoded) return std::nullopt;
  auto parsed = address::ParseAddress(*decoded);
  // A literal or UTF-8 in the local part is not what a domain in the public DNS asks for.
  if (!parsed.ok() || parsed->literal || parsed->NeedsSmtpUtf8()) return std::nullopt;
  return *std::move(parsed);
}

}  // namespace hikyaku::tls_report
