#include "services/hikyaku/text.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/check.h"
#include "lib/base/utf8.h"

namespace hikyaku::cli {
namespace {

// Characters that show nothing, break a line, or make text read in another order than it is stored (Trojan Source).
bool IsUnsafe(char32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

bool IsNumber(const std::string& cell) {
  return !cell.empty() && std::all_of(cell.begin(), cell.end(), [](char c) { return absl::ascii_isdigit(c); });
}

// Columns on the screen, taking each character for one: right for the scripts of addresses, nearly so for others.
std::size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; });
}

}  // namespace

std::string Printable(absl::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "…";
    const absl::string_view before = text;
    const std::optional<char32_t> c = TakeUtf8(text);
    const absl::string_view taken = before.substr(0, before.size() - text.size());
    if (!c.has_value() || *c < 0x80) {
      const auto byte = static_cast<unsigned char>(taken[0]);
      if (c.has_value() && !IsUnsafe(byte)) {
        out.push_back(taken[0]);
      } else {
        absl::StrAppendFormat(&out, "\\x%02x", byte);
      }
    } else if (IsUnsafe(*c)) {
      absl::StrAppendFormat(&out, "\\u{%x}", static_cast<unsigned>(*c));
    } else {
      absl::StrAppend(&out, taken);
    }
  }
  return out;
}

Table::Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }

void Table::Add(std::vector<std::string> row) {
  HIKYAKU_CHECK(row.size() == rows_[0].size());
  for (std::string& cell : row) cell = Printable(cell, 200);
  rows_.push_back(std::move(row));
}

std::string Table::ToString() const {
  std::vector<std::size_t> widths(rows_[0].size());
  std::vector<bool> numbers(rows_[0].size(), rows_.size() > 1);
  for (const std::vector<std::string>& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(row[i]));
      if (&row != &rows_[0]) numbers[i] = numbers[i] && IsNumber(row[i]);
    }
  }
  std::string out;
  for (const std::vector<std::string>& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - Width(row[i]), ' ');
      absl::StrAppend(&line, i == 0 ? "" : "  ", numbers[i] ? space : "", row[i], numbers[i] ? "" : space);
    }
    absl::StrAppend(&out, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return out;
}

std::string TimeText(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", time, absl::UTCTimeZone()); }

std::string FormatSpan(absl::Duration span) {
  if (span < absl::Seconds(1)) return absl::StrCat(absl::ToInt64Milliseconds(span), "ms");
  span = absl::Floor(span + absl::Milliseconds(500), absl::Seconds(1));
  const std::pair<absl::Duration, const char*> units[] = {
      {absl::Hours(24), "d"}, {absl::Hours(1), "h"}, {absl::Minutes(1), "m"}, {absl::Seconds(1), "s"}};
  std::string out;
  int used = 0;
  for (const auto& [unit, name] : units) {
    const std::int64_t count = absl::IDivDuration(span, unit, &span);
    if (used > 0 || count > 0) ++used;
    if (count > 0) absl::StrAppend(&out, count, name);
    if (used == 2) break;
  }
  return out;
}

std::string FormatRelative(absl::Time time, absl::Time now) {
  const absl::Duration span = time - now;
  if (span >= absl::Seconds(1)) return absl::StrCat("in ", FormatSpan(span));
  if (span <= -absl::Seconds(1)) return absl::StrCat(FormatSpan(-span), " ago");
  return "now";
}

}  // namespace hikyaku::cli
