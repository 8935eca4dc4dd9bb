#include "lib/base/utf8.h"

#include <cstddef>

namespace hikyaku {
namespace {

constexpr bool IsContinuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// How many bytes the character has that `lead` begins; 0 when it begins none.
constexpr std::size_t LengthOf(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;  // C0 and C1 would be overlong.
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // By length: below it the form is overlong.

}  // namespace

std::optional<char32_t> TakeUtf8(absl::string_view& text) {
  const unsigned char lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = LengthOf(lead);
  const absl::string_view bytes = text.substr(0, length == 0 ? 1 : length);
  text.remove_prefix(1);
  if (length == 0 || bytes.size() < length) return std::nullopt;
  if (length == 1) return lead;

  char32_t value = lead & (0x7F >> length);
  for (const char c : bytes.substr(1)) {
    const unsigned char byte = static_cast<unsigned char>(c);
    if (!IsContinuation(byte)) return std::nullopt;
    value = (value << 6) | (byte & 0x3F);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[length] || surrogate || value > 0x10FFFF) return std::nullopt;
  text.remove_prefix(length - 1);
  return value;
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    if (!TakeUtf8(text)) return false;
  }
  return true;
}

absl::string_view CutUtf8(absl::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && IsContinuation(static_cast<unsigned char>(text[limit]))) --limit;
  return text.substr(0, limit);
}

}  // namespace hikyaku
