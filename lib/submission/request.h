// Reads a SendMailRequest into a plain value: every rule that proto/hikyaku/v1/mail.proto writes at a field is enforced
// here or, for what only the message builder knows, in assemble.h. Nothing is repaired silently.
//
// Non-goals:  who may send as whom; which recipients are taken (recipient_policy.h).
// Threading:  a pure function.
#ifndef HIKYAKU_LIB_SUBMISSION_REQUEST_H_
#define HIKYAKU_LIB_SUBMISSION_REQUEST_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/v1/mail.pb.h"
#include "lib/address/address.h"
#include "lib/dsn/options.h"
#include "lib/mime/builder.h"

namespace hikyaku::submission {

struct RequestLimits {
  std::size_t recipients = 1000;
};

// The tenant of whoever names none.
inline constexpr char kDefaultTenant[] = "default";

// What of the mail's fate is to be told to its sender by mail.
struct ReportWish {
  std::uint32_t notify = 0;  // As lib/dsn/options.h has it: of every recipient.
  dsn::Returned returned = dsn::Returned::kUnspecified;
  std::string envelope_id;  // As xtext.
};

struct Submission {
  struct Recipient {
    std::string field;    // Its path, for errors: "content.to[2].address".
    std::string written;  // As the caller wrote it.
    address::Address address;
  };

  // Exactly one of the two is set. `parts` points into the request (text, html, attachments); its date, message_id and
  // boundary_token are not set yet.
  std::optional<mime::MessageParts> parts;
  const std::string* raw = nullptr;  // In the request.

  address::Address sender;            // empty(): the null reverse-path.
  std::vector<Recipient> recipients;  // In the order of to, cc, bcc, or of raw.recipients; duplicates are still there.
  std::string tenant;
  std::string stream;
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string idempotency_key;                     // Empty: none.
  std::string fingerprint;                         // Of the request, when there is a key; else empty.
  absl::Time not_before = absl::InfinitePast();    // InfinitePast: now.
  absl::Time deliver_by = absl::InfiniteFuture();  // InfiniteFuture: the queue's lifetime. With a key it may be past.
  v1::Priority priority = v1::PRIORITY_NORMAL;
  bool require_tls = false;
  bool dry_run = false;

  std::optional<ReportWish> reports;  // Of `dsn`; nothing: the sender gets events and no reports.
};

// `request` must outlive the answer.
//
// Errors, each with its fields (FieldsOf):
//   kInvalidArgument  A field breaks its rule. The client must not repeat the request as it is.
//   kUnimplemented    All is well but that a field names a feature that is not built yet. The same.
absl::StatusOr<Submission> ReadRequest(const v1::SendMailRequest& request, const RequestLimits& limits, absl::Time now);

// The recipients without repetition: the same local part, case and all, at the same A-label is one mailbox, whatever
// the case or the script of the domain; local parts that differ in case are two (RFC 5321 §2.4).
std::vector<address::Address> DistinctRecipients(const std::vector<Submission::Recipient>& recipients);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_REQUEST_H_
