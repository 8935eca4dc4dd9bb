// Text for terminals: made safe, and in aligned columns.
//
// Threading: pure functions and plain values.
#ifndef HIKYAKU_SERVICES_HIKYAKU_TEXT_H_
#define HIKYAKU_SERVICES_HIKYAKU_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::cli {

// `text` as one line that cannot drive a terminal or forge what stands around it: controls, bytes that are not UTF-8
// and characters that turn the direction of writing become \x1b or \u{202e}; longer than `limit` bytes, it is cut.
std::string Printable(absl::string_view text, std::size_t limit = 1024);

// Columns as wide as their widest cell, two spaces apart; a column of numbers stands to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> header);

  // As many cells as the header has. Each is made Printable.
  void Add(std::vector<std::string> row);

  bool empty() const { return rows_.size() == 1; }
  std::string ToString() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // The header first.
};

// "2026-01-02 03:04:05Z", to the second.
std::string TimeText(absl::Time time);

// "in 4m30s", "12s ago", "now": from `now` to `time`, in at most two units.
std::string FormatRelative(absl::Time time, absl::Time now);

// "3d4h", "4m30s", "450ms": at most two units.
std::string FormatSpan(absl::Duration span);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_TEXT_H_
