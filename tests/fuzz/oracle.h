// Plain, slow answers to compare the parsers with.
#ifndef HIKYAKU_TESTS_FUZZ_ORACLE_H_
#define HIKYAKU_TESTS_FUZZ_ORACLE_H_

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace hikyaku::fuzz {

// A CR without LF behind it, or an LF without CR before it.
inline bool HasBareLineEnd(absl::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return true;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return true;
  }
  return false;
}

// The longest line, its CRLF not counted.
inline std::size_t LongestLine(absl::string_view text) {
  std::size_t longest = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\r\n"), text.size());
    longest = std::max(longest, end);
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return longest;
}

inline bool IsControl(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Whether `output` is a row of SMTP replies as RFC 5321 §4.2 writes them, each line within 512 octets.
inline bool IsRowOfReplies(absl::string_view output) {
  absl::string_view open;  // The code of a reply whose last line is still to come.
  while (!output.empty()) {
    const std::size_t end = output.find("\r\n");
    if (end == absl::string_view::npos || end < 3 || end + 2 > 512) return false;
    const absl::string_view line = output.substr(0, end);
    if (line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9')
      return false;
    for (const char c : line) {
      if (IsControl(c)) return false;
    }
    if (!open.empty() && line.substr(0, 3) != open) return false;
    const bool more = line.size() > 3 && line[3] == '-';
    if (line.size() > 3 && line[3] != ' ' && !more) return false;
    open = more ? line.substr(0, 3) : absl::string_view();
    output.remove_prefix(end + 2);
  }
  return open.empty();
}

// The data of a DATA command (RFC 5321 §4.5.2), by the words of the RFC.
struct DotData {
  std::string content;
  std::size_t taken = 0;  // Octets of the input with the end of the data.
};
inline std::optional<DotData> ReadDots(absl::string_view in) {
  std::size_t end = in.find("\r\n.\r\n");
  const bool at_once = absl::StartsWith(in, ".\r\n");
  if (!at_once && end == absl::string_view::npos) return std::nullopt;
  DotData data;
  data.taken = at_once ? 3 : end + 5;
  const absl::string_view lines = at_once ? "" : in.substr(0, end + 2);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool line_start = i == 0 || absl::EndsWith(lines.substr(0, i), "\r\n");
    if (!(line_start && lines[i] == '.')) data.content.push_back(lines[i]);
  }
  return data;
}

}  // namespace hikyaku::fuzz

#endif  // HIKYAKU_TESTS_FUZZ_ORACLE_H_
