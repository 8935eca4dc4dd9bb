// The log: one JSON object a line on standard error, made for machines and readable by people.
//
//   log::Info("delivered", {{"message", id}, {"domain", domain}, {"code", 250}});
//   → {"time":"2026-01-02T03:04:05.678Z","level":"info","event":"delivered","message":"01j…","domain":…,"code":250}
//
// Every string is escaped (controls, quotes, and bytes that are not UTF-8), so that text which a peer chose can
// neither forge a line nor drive a terminal; a value longer than kMaxValue is cut. Never pass a secret or a body.
// Levels say whose problem it is: info = all is well, warn = the environment's, error = ours or the disk's.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_BASE_LOG_H_
#define HIKYAKU_LIB_BASE_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace hikyaku::log {

inline constexpr std::size_t kMaxValue = 1024;

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

// One named value, already encoded as JSON.
struct Field {
  Field(absl::string_view name, absl::string_view text);
  Field(absl::string_view name, const char* text) : Field(name, absl::string_view(text)) {}
  Field(absl::string_view name, const std::string& text) : Field(name, absl::string_view(text)) {}
  Field(absl::string_view name, const absl::Status& status) : Field(name, absl::string_view(status.ToString())) {}
  Field(absl::string_view name, bool value);
  Field(absl::string_view name, double value);
  template <typename Int, typename = std::enable_if_t<std::is_integral_v<Int> && !std::is_same_v<Int, bool>>>
  Field(absl::string_view name, Int value) : name(name), json(std::to_string(value)) {}

  absl::string_view name;
  std::string json;
};

using Fields = std::initializer_list<Field>;

// What is below `level` is not written. Starts as kInfo.
void SetLevel(Level level);

// False means that the caller may skip making the fields.
bool Enabled(Level level);

void Write(Level level, absl::string_view event, Fields fields);

inline void Debug(absl::string_view event, Fields fields = {}) { Write(Level::kDebug, event, fields); }
inline void Info(absl::string_view event, Fields fields = {}) { Write(Level::kInfo, event, fields); }
inline void Warn(absl::string_view event, Fields fields = {}) { Write(Level::kWarn, event, fields); }
inline void Error(absl::string_view event, Fields fields = {}) { Write(Level::kError, event, fields); }

// `text` as the inside of a JSON string: everything but printable ASCII and valid UTF-8 is escaped.
std::string EscapeJson(absl::string_view text);

}  // namespace hikyaku::log

#endif  // HIKYAKU_LIB_BASE_LOG_H_
