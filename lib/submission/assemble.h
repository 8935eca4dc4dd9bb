// From what a client handed over to the bytes that are queued: built from content, or completed as RFC 6409 §8 says,
// with our trace field on top (RFC 5321 §4.4).
//
// Threading: pure but for random boundaries; safe from every thread.
#ifndef HIKYAKU_LIB_SUBMISSION_ASSEMBLE_H_
#define HIKYAKU_LIB_SUBMISSION_ASSEMBLE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/address/literal.h"
#include "lib/base/message_id.h"
#include "lib/smtp/server_session.h"
#include "lib/submission/request.h"

namespace hikyaku::submission {

struct AssembleOptions {
  std::string hostname;               // Of this host: in Received, and in a Message-ID that is added.
  std::uint64_t max_size = 25 << 20;  // Of the message in CRLF form, without what we add to its header.
  int max_hops = 50;
};

struct Assembled {
  std::string bytes;              // The whole message.
  std::string message_id_header;  // Without brackets.
  bool eight_bit = false;         // 8BITMIME is needed.
  bool smtputf8 = false;          // The header needs SMTPUTF8 (the envelope is not considered).
  bool waives_tls = false;        // `TLS-Required: No` (RFC 8689 §3).
};

// The message of an RPC, under `id`: its Date and an added Message-ID derive from it, so that a repeat under the same
// id is the same mail.
//
// Errors:
//   kInvalidArgument    With its fields (FieldsOf). Also a raw message that loops (its text begins "5.4.6").
//   kResourceExhausted  Larger than max_size: repeating does not help, so there is no retry time.
absl::StatusOr<Assembled> Assemble(const Submission& submission, const MessageId& id, const AssembleOptions& options);

// The message of an SMTP transaction, from whose `data` it is moved.
//
// Errors, as PrepareSubmitted tells them:
//   kInvalidArgument     Not a message: 554 5.6.0.
//   kFailedPrecondition  It loops: 554 5.4.6.
absl::StatusOr<Assembled> AssembleReceived(smtp::Transaction& transaction, const address::IpAddress& client,
                                           const MessageId& id, const AssembleOptions& options);

// The trace field of an SMTP transaction, folded, with its CRLF. A HELO name that is neither a host name nor a literal
// is replaced by "unknown". The recipient is named only where there is one, so that no copy tells of another's.
std::string ReceivedBySmtp(const smtp::Transaction& transaction, const address::IpAddress& client, const MessageId& id,
                           absl::string_view hostname);

// The same for a message that came by RPC.
std::string ReceivedByRpc(const MessageId& id, absl::string_view hostname);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_ASSEMBLE_H_
