// Builds a whole RFC 5322 message from the parts that a client of the API names. Nothing that stands in a part can make
// a header field, a line or a body part of its own.
//
// Source:     RFC 5322 §3.6 (fields); RFC 2045, 2046, 2047, 2231 (MIME), 2183 (disposition), 2387 (related).
// Non-goals:  the envelope and who may send as whom (lib/submission); the grammar of addresses (lib/address).
// Threading:  pure, safe from every thread.
#ifndef HIKYAKU_LIB_MIME_BUILDER_H_
#define HIKYAKU_LIB_MIME_BUILDER_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::mime {

struct Mailbox {
  std::string display_name;  // UTF-8; may be empty.
  std::string address;  // local@domain, validated by lib/address, domain as A-label. Checked here again for safety.
};

struct Attachment {
  std::string filename;       // UTF-8, without a path; may be empty.
  std::string content_type;   // "application/pdf"; empty means application/octet-stream.
  absl::string_view content;  // Any bytes. Must outlive the call of BuildMessage.
  std::string content_id;     // Without angle brackets; what "cid:" in the HTML names. May be empty.
  bool is_inline = false;     // Shown in the HTML, which names its content_id, rather than listed.
};

// The fields of a message. Bcc is missing on purpose: blind recipients live in the envelope only.
struct MessageParts {
  Mailbox from;
  std::optional<Mailbox> sender;
  std::vector<Mailbox> to;
  std::vector<Mailbox> cc;
  std::vector<Mailbox> reply_to;
  std::string subject;                                       // UTF-8. Empty: no Subject field.
  absl::string_view text;                                    // UTF-8; LF, CR or CRLF. Must outlive the call.
  absl::string_view html;                                    // The same.
  std::vector<Attachment> attachments;                       // In order; inline ones too.
  std::vector<std::pair<std::string, std::string>> headers;  // Further fields: name, UTF-8 text.
  absl::Time date;
  std::string message_id;  // "<unique@host>".
  // Gives 128 random bits as hexadecimal digits, a new value at each call; called a few times at most.
  std::function<std::string()> boundary_token;
};

inline constexpr std::size_t kMaxCustomHeaders = 500;
inline constexpr std::size_t kMaxAttachments = 1000;
inline constexpr std::size_t kMaxDisplayNameBytes = 512;
inline constexpr std::size_t kMaxFilenameBytes = 255;                        // What file systems take.
inline constexpr std::size_t kMaxHeaderValueBytes = std::size_t{16} * 1024;  // A subject, a custom header's value.

// The complete message with CRLF line ends, 7-bit clean and without a line over 998 characters; only addresses that are
// UTF-8 themselves bring UTF-8 into its header. Structure, where levels that hold one thing are left out:
//   mixed( related( alternative(text, html), inline...), attachments...)
// Without text, HTML and attachments the body is empty.
//
// Errors: kInternal when boundary_token gives what the text holds, again and again: it is not random. All others are
// kInvalidArgument. The text is "<field path>: <what is wrong>" with the path as in the API: "subject",
// "from.display_name", "to[3].address", "headers[2].name", "headers[2].value", "attachments[0].filename",
// "attachments[0].content_type", "attachments[0].content_id", "text", "html", "message_id". The caller answers
// INVALID_ARGUMENT with the two in a BadRequest (SplitFieldError).
absl::StatusOr<std::string> BuildMessage(const MessageParts& parts);

// Whether `name` is a header field that the service writes itself (or that would mislead the checks of a receiver), so
// that a client may not give it as a custom header: From, Date, Received, Content-*, ARC-*, Resent-*, ...
bool IsReservedHeaderName(absl::string_view name);

// The field path and the description in the text of an error of BuildMessage. Path "" for any other status.
std::pair<std::string, std::string> SplitFieldError(const absl::Status& status);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_BUILDER_H_
