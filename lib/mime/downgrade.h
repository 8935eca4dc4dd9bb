// Turns a message with 8-bit parts into one that a host without 8BITMIME can take.
//
// Source:     RFC 6152 §3 (a client must convert or bounce), RFC 2045 §6, RFC 2049.
// Threading:  pure, safe from every thread.
#ifndef HIKYAKU_LIB_MIME_DOWNGRADE_H_
#define HIKYAKU_LIB_MIME_DOWNGRADE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::mime {

// Deeper nesting is an attack; real mail stays under ten.
inline constexpr int kMaxMultipartDepth = 20;

// `message` with each 8-bit leaf part re-encoded (text as quoted-printable or base64, whichever is shorter; the rest as
// base64), its Content-Transfer-Encoding and that of the multiparts around it set accordingly. Parts that are 7-bit
// keep their bytes. A message without MIME fields gets them. Any DKIM signature over the body breaks: convert, then
// sign.
//
// Errors: kFailedPrecondition when it cannot be done without harm; the text says why, the caller bounces with 5.6.3:
// 8-bit in a header, in a signed or encrypted multipart, in message/*, beside the parts of a multipart, in a part that
// says it is base64 or quoted-printable; a multipart without a boundary, or nested deeper than kMaxMultipartDepth;
// a header that cannot be read.
absl::StatusOr<std::string> Downgrade8Bit(absl::string_view message);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_DOWNGRADE_H_
