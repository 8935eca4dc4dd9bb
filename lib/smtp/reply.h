// SMTP replies: as a value, written by the server and read by the client.
//
// Source:     RFC 5321 §4.2 (form), §4.5.3.1.5 (length), RFC 2034 and RFC 3463 (enhanced codes).
// Non-goals:  what a reply means for a mail (lib/delivery/verdict).
// Threading:  plain values; a parser belongs to one connection.
#ifndef HIKYAKU_LIB_SMTP_REPLY_H_
#define HIKYAKU_LIB_SMTP_REPLY_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::smtp {

struct Reply {
  int code = 0;          // 200..599.
  std::string enhanced;  // "5.7.1", or empty when there is none or its class contradicts `code`.
  std::string text;      // Lines are separated by '\n'. From a peer: valid UTF-8 without other controls.

  bool Positive() const { return code >= 200 && code < 300; }
  bool Intermediate() const { return code >= 300 && code < 400; }
  bool Transient() const { return code >= 400 && code < 500; }
  bool Permanent() const { return code >= 500; }

  // "550 5.7.1 text" on one line ("\n" becomes " / "): for events, logs and bounces.
  std::string ToString() const;

  bool operator==(const Reply&) const = default;
};

// Appends `reply` in its form on the wire, with one line for each line of its text and CRLF after each. A line longer
// than the 512 octets of RFC 5321 §4.5.3.1.5 is cut; a control character in the text becomes '?'.
void AppendReply(const Reply& reply, std::string* out);
std::string FormatReply(const Reply& reply);

// Reads replies as their bytes come. What a hostile peer may send is bounded by kMaxTotal; of a long line the front is
// kept, of many lines the first ones. The code counts all the same: else a peer that took a mail and says so at length
// would get it again. The text comes out safe to log and to store: controls, NUL, DEL and what is not UTF-8 become '?'.
class ReplyParser {
 public:
  static constexpr std::size_t kMaxLine = 2048;         // Octets kept of a line; RFC 5321 asks for 512 at most.
  static constexpr std::size_t kMaxLines = 100;         // Lines kept; the longest EHLO answers have about 20.
  static constexpr std::size_t kMaxText = 16 * 1024;    // Octets kept of one reply.
  static constexpr std::size_t kMaxTotal = 256 * 1024;  // Octets of one reply; beyond, it is none.

  enum class Result {
    kOk,         // A reply was complete: it is in reply(). Call again with what is left.
    kNeedMore,   // All of the input was taken, the reply is not complete.
    kMalformed,  // Not a reply: error() says why. The position is lost; close the connection.
  };

  // Takes one reply's octets from the front of `in`. A line may end in LF alone, as some servers send.
  Result Take(absl::string_view* in);

  // Valid after kOk until the next Take. May be moved from.
  Reply& reply() { return reply_; }

  // After kMalformed: one printable line for the log.
  const std::string& error() const { return error_; }

  // A part of a reply has come. After the peer hangs up: it broke off in the middle.
  bool InsideReply() const { return !fresh_; }

 private:
  bool TakeLine(absl::string_view line, bool* last);
  Result Malformed(absl::string_view why, absl::string_view line);

  std::string line_;  // The front of a line that an earlier input began; at most kMaxLine.
  std::size_t lines_ = 0;
  std::size_t total_ = 0;
  bool fresh_ = true;  // The next octet starts a new reply: reply_ holds an old one.
  Reply reply_;
  std::string error_;
};

// `text` with controls and everything that is not UTF-8 replaced by '?'; at most `limit` octets.
std::string Printable(absl::string_view text, std::size_t limit);

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_REPLY_H_
