#include "lib/mime/text.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "lib/base/utf8.h"

namespace hikyaku::mime {
namespace {

constexpr std::size_t kMaxNameLength = 76;

bool IsVisible(char c) { return c >= 33 && c <= 126; }

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

bool IsAscii(absl::string_view bytes) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080u;
  std::uint64_t seen = 0;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= sizeof seen; at += sizeof seen, left -= sizeof seen) {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    seen |= word;
  }
  for (; left > 0; ++at, --left) seen |= static_cast<unsigned char>(*at);
  return (seen & kHighBits) == 0;
}

std::size_t Utf8Length(absl::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const std::size_t length = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return std::min(length, text.size() - at);
}

bool IsSafeHeaderName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return IsVisible(c) && c != ':'; });
}

bool IsSafeHeaderValue(absl::string_view value) {
  constexpr absl::string_view kForbidden("\r\n\0", 3);
  return value.find_first_of(kForbidden) == absl::string_view::npos && IsValidUtf8(value);
}

bool IsToken(absl::string_view text) {
  constexpr absl::string_view kSpecials = "()<>@,;:\\\"/[]?=";
  if (text.empty()) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return IsVisible(c) && kSpecials.find(c) == absl::string_view::npos; });
}

absl::string_view TrimBlanks(absl::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace hikyaku::mime
