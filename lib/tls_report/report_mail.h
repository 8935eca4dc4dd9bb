// The mail that brings a report on TLS.
//
// Source:     RFC 8460 §5.3 (the mail), §5.1 (the file's name), RFC 6522 (multipart/report), RFC 8689 §3 (TLS-Required:
//             the report must arrive where TLS is broken), RFC 3834 §5 (Auto-Submitted).
// Non-goals:  its envelope (lib/queue/tls_reporter.h), its signature (lib/delivery/signing.h).
// Threading:  pure.
#ifndef HIKYAKU_LIB_TLS_REPORT_REPORT_MAIL_H_
#define HIKYAKU_LIB_TLS_REPORT_REPORT_MAIL_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lib/tls_report/report.h"

namespace hikyaku::tls_report {

struct ReportMail {
  ReportFrame frame;
  std::string from;             // Address in From; its domain is the submitter.
  std::vector<std::string> to;  // Addresses, one at least.
  std::string message_id;       // Without brackets.
  absl::Time date;
  std::string unique_id;       // Of this report among those on the same day and domain: letters and digits.
  std::string boundary_token;  // At least 128 random bits, as letters and digits.
};

// "ours.example!example.net!1795737600!1795823999!0123456789abcdef.json.gz" (§5.1).
std::string FileName(const ReportMail& mail);

// The whole message, 7-bit, with `json` packed.
std::string BuildMail(const ReportMail& mail, absl::string_view json);

}  // namespace hikyaku::tls_report

#endif  // HIKYAKU_LIB_TLS_REPORT_REPORT_MAIL_H_
