// Reading the header of a message, or of a body part, without copying it.
//
// Source:     RFC 5322 §2.2 (fields, folding), §2.1 (the empty line ends the header); RFC 6532 (UTF-8 in values).
// Non-goals:  the meaning of a value (content_type.h, lib/address); writing (field_writer.h).
// Threading:  a value; const methods are safe from every thread.
#ifndef HIKYAKU_LIB_MIME_HEADER_H_
#define HIKYAKU_LIB_MIME_HEADER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::mime {

// More fields, or a larger header, is an attack or a loop; the largest seen in ordinary mail are a tenth of this.
inline constexpr std::size_t kMaxFields = 1000;
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{256} * 1024;

// RFC 5322 §2.1.1: a line holds at most 998 characters, CRLF not counted; 78 is what one should not pass.
inline constexpr std::size_t kMaxLine = 998;
inline constexpr std::size_t kSoftLine = 78;

struct HeaderField {
  absl::string_view name;   // As written, without the colon.
  absl::string_view value;  // All after the colon, folds included, without the last CRLF.
  absl::string_view raw;    // The whole field, last CRLF included (unless the message ends without one).

  bool Is(absl::string_view other_name) const;  // Names compare without regard to case.
  std::string Unfolded() const;                 // The value without its folds' CRLFs and the blanks around it.
};

// The fields of one header, in order. All views point into the text that was parsed, which must outlive this object.
class HeaderFields {
 public:
  // Reads from the first byte of `message` to its first empty line, or to its end when it has none.
  //
  // Errors (kInvalidArgument; the text names the line): a line without a colon; a first line that continues; a name
  // with a space or a character outside RFC 5322's ftext; a bare CR or LF or a NUL; more than kMaxFields fields;
  // more than kMaxHeaderBytes bytes. The caller refuses the message, or takes the part as opaque.
  static absl::StatusOr<HeaderFields> Parse(absl::string_view message);

  const std::vector<HeaderField>& fields() const { return fields_; }

  // The fields with their CRLFs, without the empty line.
  absl::string_view header() const { return header_; }
  // What follows the empty line.
  absl::string_view body() const { return body_; }

  // The first field of that name, or null.
  const HeaderField* Find(absl::string_view name) const;
  std::size_t Count(absl::string_view name) const;

 private:
  std::vector<HeaderField> fields_;
  absl::string_view header_;
  absl::string_view body_;
};

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_HEADER_H_
