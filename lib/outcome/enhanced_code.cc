#include "lib/outcome/enhanced_code.h"

#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace hikyaku::outcome {
namespace {

// Takes 1 to 3 digits (RFC 3463 §2).
std::optional<int> TakeNumber(absl::string_view& text) {
  int value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    if (digits == 3) return std::nullopt;
    value = value * 10 + (text[digits++] - '0');
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

std::optional<EnhancedCode> TakeCode(absl::string_view& text) {
  absl::string_view rest = text;
  const std::optional<int> cls = TakeNumber(rest);
  if ((cls != 2 && cls != 4 && cls != 5) || !absl::ConsumePrefix(&rest, ".")) return std::nullopt;
  const std::optional<int> subject = TakeNumber(rest);
  if (!subject || !absl::ConsumePrefix(&rest, ".")) return std::nullopt;
  const std::optional<int> detail = TakeNumber(rest);
  if (!detail) return std::nullopt;
  text = rest;
  return EnhancedCode{*cls, *subject, *detail};
}

}  // namespace

std::string EnhancedCode::ToString() const {
  return cls == 0 ? std::string() : absl::StrCat(cls, ".", subject, ".", detail);
}

std::optional<EnhancedCode> ParseEnhancedCode(absl::string_view text) {
  const std::optional<EnhancedCode> code = TakeCode(text);
  return text.empty() ? code : std::nullopt;
}

std::optional<EnhancedCode> TakeEnhancedCode(absl::string_view& text, int smtp_code) {
  absl::string_view rest = text;
  const std::optional<EnhancedCode> code = TakeCode(rest);
  if (!code || code->cls != smtp_code / 100) return std::nullopt;
  const bool separate = rest.empty() || absl::ascii_isspace(static_cast<unsigned char>(rest.front()));
  if (!separate) return std::nullopt;
  absl::ConsumePrefix(&rest, " ");
  text = rest;
  return code;
}

}  // namespace hikyaku::outcome
