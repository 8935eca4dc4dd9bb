#include "lib/base/log.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
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

// Length of the valid UTF-8 sequence that starts at `at`, or 0. Rejects overlong forms and surrogates (RFC 3629 §3).
std::size_t Utf8Length(absl::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(at);
  const std::size_t length = lead >= 0xC2 && lead <= 0xDF ? 2 : lead >= 0xE0 && lead <= 0xEF ? 3 : lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
  if (length == 0) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;
  return length;
}

}  // namespace

std::string EscapeJson(absl::string_view text) {
  std::string out;
  out.reserve(text.size() + 8);
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", text.substr(i, 1));
    } else if (c >= 0x20 && c < 0x7F) {
      out.push_back(static_cast<char>(c));
    } else if (const std::size_t length = Utf8Length(text, i); length > 0 && !(c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0)) {
      out.append(text.data() + i, length);  // All but the C1 controls, which drive terminals too.
      i += length;
      continue;
    } else {
      absl::StrAppendFormat(&out, "\\u%04x", c);
    }
    ++i;
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
  std::string line = absl::StrCat(
      "{\"time\":\"", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), "\",\"level\":\"",
      Name(level), "\",\"event\":\"", EscapeJson(event), "\"");
  for (const Field& field : fields) absl::StrAppend(&line, ",\"", field.name, "\":", field.json);
  line.push_back('}');
  Logger().log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  if (level >= Level::kError) Logger().flush();
}

}  // namespace hikyaku::log
