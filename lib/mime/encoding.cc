#include "lib/mime/encoding.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

constexpr std::size_t kBase64Line = 76;  // RFC 2045 §6.8.
constexpr std::size_t kBase64LineBytes = kBase64Line / 4 * 3;
constexpr std::size_t kQuotedLine = 75;  // RFC 2045 §6.7 (5): 76 with the "=" of a soft break.
constexpr std::size_t kPlainLine = 78;   // RFC 5322 §2.1.1: what a line should not pass.
constexpr char kBase64Digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kHexDigits[] = "0123456789ABCDEF";
constexpr absl::string_view kCrlf = "\r\n";

// Values of base64 digits; 255 for all other characters.
constexpr std::array<std::uint8_t, 256> MakeBase64Values() {
  std::array<std::uint8_t, 256> values{};
  for (auto& value : values) value = 255;
  for (std::uint8_t i = 0; i < 64; ++i) values[static_cast<unsigned char>(kBase64Digits[i])] = i;
  return values;
}
constexpr std::array<std::uint8_t, 256> kBase64Values = MakeBase64Values();

// Encodes `size` bytes, without line breaks, to `to`; returns the end of what was written.
char* EncodeBase64Line(const unsigned char* from, std::size_t size, char* to) {
  for (; size >= 3; from += 3, size -= 3) {
    const std::uint32_t group = from[0] << 16 | from[1] << 8 | from[2];
    *to++ = kBase64Digits[group >> 18];
    *to++ = kBase64Digits[group >> 12 & 63];
    *to++ = kBase64Digits[group >> 6 & 63];
    *to++ = kBase64Digits[group & 63];
  }
  if (size == 0) return to;
  const std::uint32_t group = from[0] << 16 | (size == 2 ? from[1] << 8 : 0);
  *to++ = kBase64Digits[group >> 18];
  *to++ = kBase64Digits[group >> 12 & 63];
  *to++ = size == 2 ? kBase64Digits[group >> 6 & 63] : '=';
  *to++ = '=';
  return to;
}

bool IsLineEnd(absl::string_view text, std::size_t at) {
  return at == text.size() || (text[at] == '\r' && at + 1 < text.size() && text[at + 1] == '\n');
}

// Whether the byte at `at` may stand in quoted-printable as itself, when it is not the first of its line.
bool IsLiteral(absl::string_view text, std::size_t at) {
  const char c = text[at];
  if (c == ' ' || c == '\t') return !IsLineEnd(text, at + 1);
  return c >= 33 && c <= 126 && c != '=';
}

// Mailboxes in mbox form change "From " at the start of a line, and a broken relay may treat a dot there as its own.
bool IsRiskyLineStart(absl::string_view rest) { return rest[0] == '.' || absl::StartsWith(rest, "From "); }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Appends one line without its line break. False at a "=" that is no escape.
bool DecodeQuotedLine(absl::string_view line, std::string* out) {
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '=') {
      out->push_back(line[at]);
      continue;
    }
    if (at + 2 >= line.size()) return false;
    const int high = HexValue(line[at + 1]);
    const int low = HexValue(line[at + 2]);
    if (high < 0 || low < 0) return false;
    out->push_back(static_cast<char>(high << 4 | low));
    at += 2;
  }
  return true;
}

}  // namespace

absl::string_view EncodingName(Encoding encoding) {
  switch (encoding) {
    case Encoding::k7Bit: return "7bit";
    case Encoding::kQuotedPrintable: return "quoted-printable";
    case Encoding::kBase64: return "base64";
  }
  return "7bit";
}

Encoding ChooseEncoding(absl::string_view text) {
  bool plain = IsAscii(text);
  std::size_t quoted_size = 0;
  std::size_t at = 0;
  while (at <= text.size()) {
    const std::size_t end = std::min(text.find(kCrlf, at), text.size());
    const absl::string_view line = text.substr(at, end - at);
    if (line.size() > kPlainLine || absl::StartsWith(line, "From ")) plain = false;
    std::size_t line_size = 0;
    for (const char c : line) {
      line_size += (c >= 32 && c <= 126 && c != '=') || c == '\t' ? 1 : 3;
      if (c == '\0' || c == '\r' || c == '\n') plain = false;
    }
    quoted_size += line_size + line_size / kQuotedLine * 3 + kCrlf.size();
    at = end + kCrlf.size();
  }
  if (plain) return Encoding::k7Bit;
  return quoted_size <= Base64Size(text.size()) ? Encoding::kQuotedPrintable : Encoding::kBase64;
}

void AppendEncoded(Encoding encoding, absl::string_view bytes, std::string* out) {
  switch (encoding) {
    case Encoding::k7Bit: out->append(bytes.data(), bytes.size()); return;
    case Encoding::kQuotedPrintable: AppendQuotedPrintable(bytes, out); return;
    case Encoding::kBase64: AppendBase64(bytes, out); return;
  }
}

std::size_t Base64Size(std::size_t bytes) {
  const std::size_t digits = (bytes + 2) / 3 * 4;
  const std::size_t lines = (digits + kBase64Line - 1) / kBase64Line;
  return digits + (lines > 1 ? (lines - 1) * kCrlf.size() : 0);
}

void AppendBase64(absl::string_view bytes, std::string* out) {
  const std::size_t start = out->size();
  out->resize(start + Base64Size(bytes.size()));
  char* to = out->data() + start;
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), kBase64LineBytes);
    to = EncodeBase64Line(reinterpret_cast<const unsigned char*>(bytes.data()), size, to);
    bytes.remove_prefix(size);
    if (bytes.empty()) break;
    *to++ = '\r';
    *to++ = '\n';
  }
}

absl::StatusOr<std::string> DecodeBase64(absl::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  int digits = 0;   // Digits of the current group of four.
  int padding = 0;  // "=" seen; only "=" and line breaks may follow.
  for (const char c : text) {
    if (c == '\r' || c == '\n') continue;
    const std::uint8_t value = kBase64Values[static_cast<unsigned char>(c)];
    if (c == '=') {
      ++padding;
    } else if (value == 255 || padding > 0) {
      return absl::InvalidArgumentError("base64: a character that does not belong there");
    } else {
      group = group << 6 | value;
      if (++digits < 4) continue;
      bytes.append({static_cast<char>(group >> 16), static_cast<char>(group >> 8), static_cast<char>(group)});
      group = digits = 0;
    }
  }
  const bool whole = digits == 0 && padding == 0;
  const bool one_byte = digits == 2 && padding == 2 && (group & 15) == 0;
  const bool two_bytes = digits == 3 && padding == 1 && (group & 3) == 0;
  if (!whole && !one_byte && !two_bytes) return absl::InvalidArgumentError("base64: wrong padding at the end");
  if (one_byte) bytes.push_back(static_cast<char>(group >> 4));
  if (two_bytes) bytes.append({static_cast<char>(group >> 10), static_cast<char>(group >> 2)});
  return bytes;
}

void AppendQuotedPrintable(absl::string_view text, std::string* out) {
  char line[kQuotedLine + 3];  // The line that is being written; its last bytes hold "=" CRLF.
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\r' && IsLineEnd(text, at)) {
      out->append(line, column).append("\r\n");
      column = 0;
      ++at;
      continue;
    }
    bool literal = IsLiteral(text, at);
    if (column + (literal ? 1 : 3) > kQuotedLine) {
      out->append(line, column).append("=\r\n");
      column = 0;
    }
    if (column == 0 && IsRiskyLineStart(text.substr(at))) literal = false;
    if (literal) {
      line[column++] = text[at];
      continue;
    }
    const auto byte = static_cast<unsigned char>(text[at]);
    line[column++] = '=';
    line[column++] = kHexDigits[byte >> 4];
    line[column++] = kHexDigits[byte & 15];
  }
  out->append(line, column);
}

absl::StatusOr<std::string> DecodeQuotedPrintable(absl::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t crlf = text.find(kCrlf, at);
    const bool last = crlf == absl::string_view::npos;
    absl::string_view line = text.substr(at, (last ? text.size() : crlf) - at);
    at = last ? text.size() : crlf + kCrlf.size();
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
    const bool soft = !line.empty() && line.back() == '=';
    if (soft) line.remove_suffix(1);
    if (!DecodeQuotedLine(line, &bytes)) {
      return absl::InvalidArgumentError("quoted-printable: a \"=\" without two hexadecimal digits");
    }
    if (!soft && !last) bytes.append("\r\n");
  }
  return bytes;
}

std::string NormalizeNewlines(absl::string_view text) {
  std::string normal;
  normal.reserve(text.size() + text.size() / 32);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(kCrlf), text.size());
    normal.append(text.data(), end);
    if (end == text.size()) break;
    normal.append("\r\n");
    text.remove_prefix(absl::StartsWith(text.substr(end), kCrlf) ? end + 2 : end + 1);
  }
  return normal;
}

// Not by strftime: its names follow the locale.
std::string FormatDate(absl::Time time) {
  constexpr const char* kDays[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const absl::CivilSecond at = absl::ToCivilSecond(time, absl::UTCTimeZone());
  return absl::StrFormat("%s, %02d %s %04d %02d:%02d:%02d +0000", kDays[static_cast<int>(absl::GetWeekday(at))],
                         at.day(), kMonths[at.month() - 1], at.year(), at.hour(), at.minute(), at.second());
}

}  // namespace hikyaku::mime
