#include "lib/base/units.h"

#include <cctype>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace hikyaku {
namespace {

struct DurationUnit {
  absl::string_view name;
  std::int64_t millis;
};
// Largest first: FormatDuration takes them in this order.
constexpr DurationUnit kDurationUnits[] = {
    {"w", 7LL * 86'400'000}, {"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1},
};

struct SizeUnit {
  absl::string_view name;
  std::uint64_t bytes;
};
constexpr SizeUnit kSizeUnits[] = {
    {"TiB", 1ULL << 40},
    {"GiB", 1ULL << 30},
    {"MiB", 1ULL << 20},
    {"KiB", 1ULL << 10},
    {"TB", 1'000'000'000'000},
    {"GB", 1'000'000'000},
    {"MB", 1'000'000},
    {"kB", 1'000},
    {"B", 1},
};

// Ten thousand years: no duration of ours is longer, and sums below it cannot overflow.
constexpr std::int64_t kMaxMillis = 10'000LL * 366 * 86'400'000;

absl::Status DurationError(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not a duration: write a number and ms, s, m, h, d or w, as in 30s, 5m or 1h30m"));
}

absl::Status SizeError(absl::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not a size: write a whole number and B, KiB, MiB, GiB or TiB, as in 25MiB"));
}

// Takes the leading run of characters for which `keep` holds.
template <typename Keep>
absl::string_view TakeWhile(absl::string_view& text, Keep keep) {
  std::size_t n = 0;
  while (n < text.size() && keep(static_cast<unsigned char>(text[n]))) ++n;
  const absl::string_view taken = text.substr(0, n);
  text.remove_prefix(n);
  return taken;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  if (text.empty()) return DurationError(text);
  std::int64_t total = 0;
  for (absl::string_view rest = text; !rest.empty();) {
    std::int64_t number;
    if (!absl::SimpleAtoi(TakeWhile(rest, [](int c) { return std::isdigit(c); }), &number)) return DurationError(text);
    const absl::string_view name = TakeWhile(rest, [](int c) { return std::isalpha(c); });
    const DurationUnit* unit = nullptr;
    for (const DurationUnit& candidate : kDurationUnits) {
      if (candidate.name == name) unit = &candidate;
    }
    if (unit == nullptr || number > (kMaxMillis - total) / unit->millis) return DurationError(text);
    total += number * unit->millis;
  }
  return absl::Milliseconds(total);
}

std::string FormatDuration(absl::Duration duration) {
  std::int64_t millis = absl::ToInt64Milliseconds(duration);
  if (millis <= 0) return "0";
  std::string out;
  for (const DurationUnit& unit : kDurationUnits) {
    if (unit.name == "w") continue;  // 5d reads better than a mix of weeks and days.
    if (millis / unit.millis > 0) absl::StrAppend(&out, millis / unit.millis, unit.name);
    millis %= unit.millis;
  }
  return out;
}

absl::StatusOr<std::uint64_t> ParseSize(absl::string_view text) {
  if (text == "0") return 0;
  absl::string_view name = text;
  std::uint64_t number;
  if (!absl::SimpleAtoi(TakeWhile(name, [](int c) { return std::isdigit(c); }), &number)) return SizeError(text);
  name = absl::StripLeadingAsciiWhitespace(name);
  for (const SizeUnit& unit : kSizeUnits) {
    if (unit.name != name) continue;
    if (number > std::numeric_limits<std::uint64_t>::max() / unit.bytes) return SizeError(text);
    return number * unit.bytes;
  }
  return SizeError(text);
}

std::string FormatSize(std::uint64_t bytes) {
  if (bytes == 0) return "0";
  for (const SizeUnit& unit : kSizeUnits) {
    if (unit.name.size() == 3 && bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, unit.name);
  }
  return absl::StrCat(bytes, "B");
}

}  // namespace hikyaku
