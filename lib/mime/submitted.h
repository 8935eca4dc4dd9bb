// What submission does to the bytes of a message that arrives whole, by SMTP or as a raw message of the API: check its
// form, complete its header, remove what must not travel. The body is never changed and, when nothing is removed, not
// even moved.
//
// Source:     RFC 5321 §2.3.8 (CRLF only), §4.4 (trace), §6.3 (loops); RFC 6409 §8 (Date, Message-ID); RFC 5322 §3.6.
// Non-goals:  the From address against the login (lib/submission); DKIM; from 8-bit to 7-bit (downgrade.h).
// Threading:  pure, safe from every thread.
#ifndef HIKYAKU_LIB_MIME_SUBMITTED_H_
#define HIKYAKU_LIB_MIME_SUBMITTED_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/address/address.h"

namespace hikyaku::mime {

struct SubmitOptions {
  // The whole trace field "Received: ...", folded, with its CRLF; put on top. Empty: none.
  std::string received;
  // Values for a Date and a Message-ID ("<unique@host>") that are missing or say nothing. Empty: not added.
  std::string date;
  std::string message_id;
  // A message that has passed this many hosts goes in circles.
  int max_received = 50;
};

struct Prepared {
  // The message is `head` followed by `body`. `head` holds what was added on top, `body` the bytes as submitted less
  // the fields Bcc, Resent-Bcc and Return-Path, and less an empty Date or Message-ID; with a CRLF at the end in any
  // case.
  std::string head;
  std::string body;

  std::string message_id;  // The value of Message-ID, given or added: "<...>". Empty when it is over 998 bytes.
  std::vector<address::Address> from_addresses;  // Those of the From field, one or more.
  bool has_8bit = false;        // A byte over 127 somewhere: the next hop needs 8BITMIME or Downgrade8Bit.
  bool needs_smtputf8 = false;  // UTF-8 in the header: the next hop needs SMTPUTF8 (RFC 6531).
  bool waives_tls = false;      // `TLS-Required: No` (tls_required.h).

  // The whole message in one string; one copy.
  std::string Assemble() &&;
};

// Checks and completes `message`, the bytes after dot-unstuffing, header and body with CRLF line ends. (A raw message
// of the API may have LF alone: without any CR in it, pass it through NormalizeNewlines first.)
//
// Errors, with a text for the sender:
//   kInvalidArgument     A bare CR or LF or a NUL anywhere; a line over 998 characters (RFC 5322 §2.1.1: it is refused,
//   not
//                        wrapped, because wrapping would break signatures); in the header: text that is not UTF-8,
//                        a line without a colon, a first line that continues, too many fields or bytes
//                        (header.h); no From field, or one without an address; two of a field that may stand there
//                        once (From, Date, Subject, To, Content-Type, …).  Refuse: 550 5.6.0.
//   kFailedPrecondition  max_received or more Received fields.  Refuse: 554 5.4.6.
absl::StatusOr<Prepared> PrepareSubmitted(std::string message, const SubmitOptions& options);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_SUBMITTED_H_
