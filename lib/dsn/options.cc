#include "lib/dsn/options.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/utf8.h"

namespace hikyaku::dsn {
namespace {

constexpr std::size_t kMaxAddressType = 32;

constexpr struct {
  absl::string_view name;
  std::uint32_t bit;
} kNotify[] = {{"NEVER", kNever}, {"SUCCESS", kSuccess}, {"FAILURE", kFailure}, {"DELAY", kDelay}};

bool IsPrintable(char c) { return c >= 0x20 && c <= 0x7e; }

// Upper case only (RFC 3461 §4).
int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool IsAddressType(absl::string_view type) {
  return !type.empty() && type.size() <= kMaxAddressType && std::all_of(type.begin(), type.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

void AppendCharacter(char32_t c, std::string* out) {
  const auto tail = [&](int shift) { out->push_back(static_cast<char>(0x80 | ((c >> shift) & 0x3f))); };
  if (c < 0x80) return out->push_back(static_cast<char>(c));
  if (c < 0x800) {
    out->push_back(static_cast<char>(0xc0 | (c >> 6)));
    return tail(0);
  }
  if (c < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | (c >> 12)));
  } else {
    out->push_back(static_cast<char>(0xf0 | (c >> 18)));
    tail(12);
  }
  tail(6);
  tail(0);
}

// The character of "\x{HEX}" at the front of `text`, which it takes. Nothing: there is none, or none that may be shown.
std::optional<char32_t> TakeEmbedded(absl::string_view* text) {
  if (!absl::StartsWith(*text, "\\x{")) return std::nullopt;
  const std::size_t end = text->find('}');
  if (end == absl::string_view::npos || end < 4 || end > 9) return std::nullopt;
  char32_t value = 0;
  for (const char digit : text->substr(3, end - 3)) {
    const int bits = HexDigit(absl::ascii_toupper(static_cast<unsigned char>(digit)));
    if (bits < 0) return std::nullopt;
    value = value * 16 + static_cast<char32_t>(bits);
  }
  const bool control = value < 0x20 || (value >= 0x7f && value < 0xa0);
  if (control || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return std::nullopt;
  text->remove_prefix(end + 1);
  return value;
}

// Each "\x{HEX}" as its character.
std::string DecodeUnicode(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (const auto c = TakeEmbedded(&text)) {
      AppendCharacter(*c, &out);
    } else {
      out.push_back(text.front());
      text.remove_prefix(1);
    }
  }
  return out;
}

}  // namespace

bool Wants(std::uint32_t notify, std::uint32_t what) {
  return ((notify == 0 ? kFailure | kDelay : notify) & what) != 0;
}

std::optional<std::uint32_t> ParseNotify(absl::string_view text) {
  std::uint32_t sum = 0;
  for (const absl::string_view word : absl::StrSplit(text, ',')) {
    const auto* known = std::find_if(std::begin(kNotify), std::end(kNotify),
                                     [&](const auto& entry) { return absl::EqualsIgnoreCase(word, entry.name); });
    if (known == std::end(kNotify) || (sum & known->bit) != 0) return std::nullopt;
    sum |= known->bit;
  }
  if ((sum & kNever) != 0 && sum != kNever) return std::nullopt;
  return sum;
}

std::string NotifyText(std::uint32_t notify) {
  std::vector<absl::string_view> words;
  for (const auto& entry : kNotify) {
    if ((notify & entry.bit) != 0) words.push_back(entry.name);
  }
  return absl::StrJoin(words, ",");
}

std::optional<Returned> ParseReturned(absl::string_view text) {
  if (absl::EqualsIgnoreCase(text, "FULL")) return Returned::kFull;
  if (absl::EqualsIgnoreCase(text, "HDRS")) return Returned::kHeaders;
  return std::nullopt;
}

std::string MailParameters(Returned returned, absl::string_view envelope_id) {
  std::vector<std::string> words;
  if (returned != Returned::kUnspecified) words.push_back(returned == Returned::kFull ? "RET=FULL" : "RET=HDRS");
  if (!envelope_id.empty()) words.push_back(absl::StrCat("ENVID=", envelope_id));
  return absl::StrJoin(words, " ");
}

std::string RcptParameters(std::uint32_t notify, absl::string_view original_recipient) {
  std::vector<std::string> words;
  if (notify != 0) words.push_back(absl::StrCat("NOTIFY=", NotifyText(notify)));
  if (!original_recipient.empty()) words.push_back(absl::StrCat("ORCPT=", original_recipient));
  return absl::StrJoin(words, " ");
}

std::string EncodeXtext(absl::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (IsPrintable(c) && c != ' ' && c != '+' && c != '=') {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      absl::StrAppend(&out, "+", std::string(1, kDigits[byte >> 4]), std::string(1, kDigits[byte & 15]));
    }
  }
  return out;
}

std::optional<std::string> DecodeXtext(absl::string_view xtext) {
  std::string out;
  for (std::size_t i = 0; i < xtext.size(); ++i) {
    char c = xtext[i];
    if (c == '=' || c == ' ' || !IsPrintable(c)) return std::nullopt;
    if (c == '+') {
      if (i + 2 >= xtext.size()) return std::nullopt;
      const int high = HexDigit(xtext[i + 1]), low = HexDigit(xtext[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      if (!IsPrintable(c)) return std::nullopt;
      i += 2;
    }
    out.push_back(c);
  }
  return out;
}

bool IsEnvelopeId(absl::string_view xtext) {
  return !xtext.empty() && xtext.size() <= kMaxEnvelopeId && DecodeXtext(xtext).has_value();
}

std::optional<std::string> ParseOriginalRecipient(absl::string_view text, bool utf8) {
  const std::size_t semicolon = text.find(';');
  if (semicolon == absl::string_view::npos || semicolon + 1 == text.size()) return std::nullopt;
  const std::string type = absl::AsciiStrToLower(text.substr(0, semicolon));
  if (!IsAddressType(type)) return std::nullopt;
  std::string address(text.substr(semicolon + 1));
  const bool ascii = std::all_of(address.begin(), address.end(), [](char c) { return IsPrintable(c); });
  if (!ascii) {
    if (!utf8 || type != "utf-8" || !IsValidUtf8(address)) return std::nullopt;
    std::string encoded;
    for (absl::string_view rest = address;
         !rest.empty();) {  // A backslash that stands there is of the encoding already.
      const absl::string_view before = rest;
      const char32_t c = *TakeUtf8(rest);
      if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return std::nullopt;
      const absl::string_view piece = before.substr(0, before.size() - rest.size());
      absl::StrAppend(&encoded, c < 0x80 ? std::string(piece) : EncodeUnicode(piece));
    }
    address = std::move(encoded);
  }
  std::string kept = absl::StrCat(type, ";", address);
  if (kept.size() > kMaxOriginalRecipient || !DecodeXtext(address).has_value()) return std::nullopt;
  return kept;
}

std::string OriginalRecipientField(absl::string_view kept, bool utf8) {
  const std::size_t semicolon = std::min(kept.find(';'), kept.size());
  const absl::string_view type = kept.substr(0, semicolon);
  const absl::string_view xtext = kept.substr(std::min(semicolon + 1, kept.size()));
  const std::string address = DecodeXtext(xtext).value_or(std::string(xtext));
  return absl::StrCat(type, "; ", utf8 && type == "utf-8" ? DecodeUnicode(address) : address);
}

std::string EncodeUnicode(absl::string_view address) {
  std::string out;
  while (!address.empty()) {
    const absl::string_view before = address;
    const auto c = TakeUtf8(address);
    if (!c.has_value()) {
      out.push_back('?');
    } else if (*c < 0x80 && *c != '\\') {
      out.push_back(before.front());
    } else {
      absl::StrAppend(&out, "\\x{", absl::AsciiStrToUpper(absl::StrCat(absl::Hex(static_cast<std::uint32_t>(*c)))),
                      "}");
    }
  }
  return out;
}

}  // namespace hikyaku::dsn
