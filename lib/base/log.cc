#include "lib/base/log.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "lib/base/utf8.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace hikyaku::log {
namespace {

std::atomic<Level> minimum{Level::kInfo};

spdlog::logger& Logger() {
  static const auto logger = [] {
    auto made = spdlog::stderr_logger_mt("hikyaku");
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

absl::string_view Name(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarn: return "warn";
    case Level::kError: return "error";
    case Level::kOff: break;
  }
  return "off";
}

// C0, DEL and C1 controls drive terminals; the two separators end lines for some readers of JSON.
bool IsPrintable(char32_t c) { return c >= 0x20 && (c < 0x7F || c >= 0xA0) && c != 0x2028 && c != 0x2029; }

// Most text is nothing but this.
std::size_t PlainPrefix(absl::string_view text) {
  const auto special = [](unsigned char c) { return c < 0x20 || c >= 0x7F || c == '"' || c == '\\'; };
  return static_cast<std::size_t>(std::find_if(text.begin(), text.end(), special) - text.begin());
}

}  // namespace

std::string EscapeJson(absl::string_view text) {
  std::string out;
  out.reserve(text.size() + 8);
  while (!text.empty()) {
    const std::size_t plain = PlainPrefix(text);
    out.append(text.data(), plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    const absl::string_view before = text;
    const std::optional<char32_t> character = TakeUtf8(text);
    const absl::string_view bytes = before.substr(0, before.size() - text.size());
    if (character == U'"' || character == U'\\') {
      absl::StrAppend(&out, "\\", bytes);
    } else if (character && IsPrintable(*character)) {
      absl::StrAppend(&out, bytes);
    } else {
      // A control, or a byte that is not UTF-8.
      absl::StrAppendFormat(&out, "\\u%04x",
                            character ? static_cast<unsigned>(*character) : static_cast<unsigned char>(bytes[0]));
    }
  }
  return out;
}

Field::Field(absl::string_view field, absl::string_view text)
    : name(field), json(absl::StrCat("\"", EscapeJson(text.substr(0, kMaxValue)), "\"")) {}
Field::Field(absl::string_view field, bool value) : name(field), json(value ? "true" : "false") {}
Field::Field(absl::string_view field, double value) : name(field), json(absl::StrFormat("%.6g", value)) {}

void SetLevel(Level level) { minimum.store(level, std::memory_order_relaxed); }

bool Enabled(Level level) { return level >= minimum.load(std::memory_order_relaxed); }

void Write(Level level, absl::string_view event, Fields fields) {
  if (!Enabled(level)) return;
  std::string line =
      absl::StrCat("{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()),
                   "\",\"level\":\"", Name(level), "\",\"event\":\"", EscapeJson(event), "\"");
  for (const Field& field : fields) absl::StrAppend(&line, ",\"", field.name, "\":", field.json);
  line.push_back('}');
  Logger().log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  if (level >= Level::kError) Logger().flush();
}

}  // namespace hikyaku::log
