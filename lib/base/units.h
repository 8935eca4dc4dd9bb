// Durations and sizes as people write them in the configuration and on the command line: `90s`, `1h30m`, `5d`, `25MiB`.
#ifndef HIKYAKU_LIB_BASE_UNITS_H_
#define HIKYAKU_LIB_BASE_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku {

// Reads one or more number-unit pairs, largest unit first or not: ms, s, m, h, d, w. "0" needs no unit.
// kInvalidArgument says what was expected; negative durations are refused.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

// The shortest text that ParseDuration reads back as the same value, to the millisecond.
std::string FormatDuration(absl::Duration duration);

// Reads a whole number with B, KiB, MiB, GiB, TiB, or with kB, MB, GB, TB for powers of 1000. "0" needs no unit.
// kInvalidArgument says what was expected.
absl::StatusOr<std::uint64_t> ParseSize(absl::string_view text);

// The text in the largest binary unit that divides `bytes`.
std::string FormatSize(std::uint64_t bytes);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_UNITS_H_
