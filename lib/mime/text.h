// Questions about bytes that the whole of lib/mime asks: is it ASCII, may it stand in a header.
//
// Source:     RFC 5322 §2.2 (header fields), RFC 2045 §5.1 (token).
// Threading:  pure functions, safe from every thread.
#ifndef HIKYAKU_LIB_MIME_TEXT_H_
#define HIKYAKU_LIB_MIME_TEXT_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace hikyaku::mime {

// Whether no byte has its high bit set. Reads eight bytes a step.
bool IsAscii(absl::string_view bytes);

// The length of the character that starts at `text[at]`, 1 to 4, never past the end of `text`. `text` is valid UTF-8.
std::size_t Utf8Length(absl::string_view text, std::size_t at);

// Whether `name` may be the name of a header field: 1 to 76 visible ASCII characters other than the colon (RFC 5322
// §2.2). 76, so that the name and its colon fit on a line of 78.
bool IsSafeHeaderName(absl::string_view name);

// Whether `value` may become the value of a header field: valid UTF-8 without CR, LF and NUL. It is then on the writer
// (field_writer.h) to encode and fold it.
bool IsSafeHeaderValue(absl::string_view value);

// Whether `text` is a MIME token: one or more visible ASCII characters without RFC 2045's tspecials.
bool IsToken(absl::string_view text);

// `text` without the spaces, tabs and line breaks at both of its ends.
absl::string_view TrimBlanks(absl::string_view text);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_TEXT_H_
