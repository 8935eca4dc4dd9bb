// Sends the content of a message in blocks, with dot-stuffing for DATA or as it is for BDAT.
//
// Source:     RFC 5321 §4.5.2; RFC 3030 §2.
// Threading:  one owner.
#ifndef HIKYAKU_LIB_SMTP_DOT_WRITER_H_
#define HIKYAKU_LIB_SMTP_DOT_WRITER_H_

#include <array>
#include <cstddef>
#include <vector>

#include "absl/strings/string_view.h"

namespace hikyaku::smtp {

class DotWriter {
 public:
  enum class Mode {
    kDots,  // Stuffs dots, and ends with CRLF `.` CRLF.
    kRaw,   // Bytes as they are.
  };

  static constexpr std::size_t kMaxPieces = 256;  // Of one block: bounds what a body of dots costs.

  // The content is `head` followed by `body`; both outlive the writer's pieces. A content that does not end in CRLF
  // gets one, in both modes. Nothing else about it is changed or checked.
  DotWriter() = default;
  DotWriter(absl::string_view head, absl::string_view body, Mode mode);

  // The end of the content goes out by a Next of its own: its last CRLF, and the dot where there is one. Before the
  // first Next.
  void HoldEnd();

  // Octets that kRaw writes: the size for BDAT.
  std::size_t raw_size() const { return parts_[0].size() + parts_[1].size() + (needs_crlf_ ? 2 : 0); }

  // Appends the next block to `pieces`: about `limit` octets of the content, at most kMaxPieces pieces, each a view of
  // the content or of a constant. True when this was the last block, with the end; after that it must not be called.
  bool Next(std::size_t limit, std::vector<absl::string_view>* pieces);

 private:
  std::size_t ToStuffedDot(absl::string_view text);

  std::array<absl::string_view, 2> parts_;
  Mode mode_ = Mode::kDots;
  bool needs_crlf_ = false;
  bool end_held_ = false;
  bool line_start_ = true;  // The last octets were CRLF, or nothing was written yet.
  bool after_cr_ = false;
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_DOT_WRITER_H_
