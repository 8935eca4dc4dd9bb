// Reads the content of a message after DATA: finds its end and takes the dot-stuffing away.
//
// Source:     RFC 5321 §4.1.1.4 and §4.5.2.
// Non-goals:  BDAT, which has no dots; judging the content.
// Threading:  one owner.
//
// Only CRLF `.` CRLF ends the data, or `.` CRLF at its very start. Every other spelling (`\n.\n`, `\r\n.\r`, …) is
// content: servers that disagree about it let one mail smuggle in another (SMTP smuggling, 2023). So that our peers
// cannot disagree either, the caller refuses a message in which bare CR, bare LF or NUL was seen.
#ifndef HIKYAKU_LIB_SMTP_DOT_READER_H_
#define HIKYAKU_LIB_SMTP_DOT_READER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace hikyaku::smtp {

class DotReader {
 public:
  // Keeps at most `max_size` octets of content; what is more is read to its end and dropped.
  explicit DotReader(std::uint64_t max_size) : max_size_(max_size) {}

  // Takes from the front of `in` up to and with the end of the data. True when the end was there; `in` then holds what
  // follows it. False when all was taken and the end is still to come.
  bool Feed(absl::string_view* in);

  // The content, with the CRLF before the final dot. After Feed gave true and unless too_large().
  std::string TakeData() { return std::move(data_); }

  bool too_large() const { return too_large_; }
  bool bare_cr() const { return bare_cr_; }  // A CR without LF behind it.
  bool bare_lf() const { return bare_lf_; }  // An LF without CR before it.
  bool nul() const { return nul_; }          // Unless too_large().

 private:
  enum class At { kLineStart, kText, kCr, kDot, kDotCr };

  void Append(const char* begin, const char* end);
  const char* Text(const char* p, const char* end);

  std::uint64_t max_size_;
  At at_ = At::kLineStart;
  bool too_large_ = false;
  bool bare_cr_ = false;
  bool bare_lf_ = false;
  bool nul_ = false;
  std::string data_;
};

// What in a text would let its reader see other lines than we do.
struct LineFaults {
  bool bare_cr = false;
  bool bare_lf = false;
  bool nul = false;
  bool any() const { return bare_cr || bare_lf || nul; }
};
LineFaults FindLineFaults(absl::string_view data);

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_DOT_READER_H_
