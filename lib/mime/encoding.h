// Content-Transfer-Encodings, line ends and dates.
//
// Source:     RFC 2045 §6 (base64, quoted-printable), RFC 5322 §3.3 (dates), §2.1 (CRLF).
// Threading:  pure functions, safe from every thread.
#ifndef HIKYAKU_LIB_MIME_ENCODING_H_
#define HIKYAKU_LIB_MIME_ENCODING_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::mime {

enum class Encoding { k7Bit, kQuotedPrintable, kBase64 };

// The value of Content-Transfer-Encoding: "7bit", "quoted-printable", "base64".
absl::string_view EncodingName(Encoding encoding);

// The encoding that carries `text` (with CRLF line ends) unharmed: 7bit for ASCII with lines of at most 78 characters,
// none of which starts with "From " (mailboxes rewrite that); else the shorter of quoted-printable and base64.
Encoding ChooseEncoding(absl::string_view text);

// Appends `bytes` in `encoding`. k7Bit appends them as they are.
void AppendEncoded(Encoding encoding, absl::string_view bytes, std::string* out);

// Appends base64 in lines of 76 characters with CRLF between them, and none after the last.
void AppendBase64(absl::string_view bytes, std::string* out);
// The number of bytes that AppendBase64 appends.
std::size_t Base64Size(std::size_t bytes);

// Decodes base64. Line breaks (CRLF) may stand anywhere; any other foreign character, wrong padding or padding bits
// that are not zero is kInvalidArgument.
absl::StatusOr<std::string> DecodeBase64(absl::string_view text);

// Appends quoted-printable in lines of at most 76 characters. CRLF is a line break; a CR or LF alone, blanks at the end
// of a line, a dot or a "From " at its start, and every byte that is not printable ASCII is escaped, so that decoding
// gives the same bytes.
void AppendQuotedPrintable(absl::string_view text, std::string* out);

// Decodes quoted-printable (RFC 2045 §6.7): blanks before a line break are dropped, "=" before one joins the lines. A
// "=" without two hexadecimal digits is kInvalidArgument.
absl::StatusOr<std::string> DecodeQuotedPrintable(absl::string_view text);

// `text` with every LF, CR and CRLF as CRLF. For text from the API, never for SMTP, where a bare CR or LF is refused.
std::string NormalizeNewlines(absl::string_view text);

// RFC 5322 §3.3 date-time in UTC: "Tue, 05 Mar 2024 09:08:07 +0000".
std::string FormatDate(absl::Time time);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_ENCODING_H_
