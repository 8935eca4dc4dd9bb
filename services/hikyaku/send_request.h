// From the flags of `hikyaku send` to the request.
#ifndef HIKYAKU_SERVICES_HIKYAKU_SEND_REQUEST_H_
#define HIKYAKU_SERVICES_HIKYAKU_SEND_REQUEST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hikyaku/v1/mail.pb.h"

namespace hikyaku::cli {

struct MailFlags {
  std::string from;
  std::vector<std::string> to, cc, bcc, reply_to;
  std::string subject, text, html;
  std::vector<std::string> attach;   // Paths.
  std::vector<std::string> headers;  // "Name: value".
  std::string raw;                   // A path, or "-" for standard input.
  std::vector<std::string> rcpt;
  std::string envelope_sender, tenant, stream, idempotency_key;
  std::vector<std::string> tags;
  std::vector<std::string> notify;  // success, failure, delay: what is mailed back.
  std::string priority;             // "", high, normal or bulk.
  std::string not_before;           // A duration from now on, or "".
  bool require_tls = false;
  bool dry_run = false;
};

// Reads the files that the flags name. kInvalidArgument: what is wrong with the flags, for whoever typed them. What the
// addresses are worth is for the server to say.
absl::StatusOr<v1::SendMailRequest> MakeRequest(const MailFlags& flags, absl::Time now);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_SEND_REQUEST_H_
