// A report on TLS: what became of the sessions with a domain's hosts on one UTC day.
//
// Source:     RFC 8460 §4.4 (the JSON), §4.3 (result types), §4.2 (the day).
// Threading:  pure.
#ifndef HIKYAKU_LIB_TLS_REPORT_REPORT_H_
#define HIKYAKU_LIB_TLS_REPORT_REPORT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"

namespace hikyaku::tls_report {

// policy-type.
inline constexpr char kTlsa[] = "tlsa";
inline constexpr char kSts[] = "sts";
inline constexpr char kNoPolicy[] = "no-policy-found";

// The media type of a report in gzip (§5.2, §6.4).
inline constexpr char kPackedType[] = "application/tlsrpt+gzip";

// result-type (§4.3).
inline constexpr char kStartTlsNotSupported[] = "starttls-not-supported";
inline constexpr char kHostMismatch[] = "certificate-host-mismatch";
inline constexpr char kExpired[] = "certificate-expired";
inline constexpr char kNotTrusted[] = "certificate-not-trusted";
inline constexpr char kValidationFailure[] = "validation-failure";
inline constexpr char kTlsaInvalid[] = "tlsa-invalid";
inline constexpr char kDnssecInvalid[] = "dnssec-invalid";
inline constexpr char kDaneRequired[] = "dane-required";
inline constexpr char kStsFetchError[] = "sts-policy-fetch-error";
inline constexpr char kStsInvalid[] = "sts-policy-invalid";
inline constexpr char kStsWebpkiInvalid[] = "sts-webpki-invalid";

// Who reports on whom, and when.
struct ReportFrame {
  std::string organization;                   // organization-name.
  std::string contact;                        // contact-info.
  std::string domain;                         // The domain that asked for the report.
  absl::Time day_start;                       // 00:00 UTC of the day.
  absl::Time until = absl::InfiniteFuture();  // When it was made: of a day that is not over, it tells what was so far.
  std::string report_id;                      // "20261127.example.net.0123456789abcdef@ours.example".
};

// When the time that it tells of ends: 23:59:59, unless it was made before.
absl::Time LastSecond(const ReportFrame& frame);

// The report's JSON. Rows of one policy stand together, and failures that are alike are one. `rows` is not empty.
std::string BuildReport(const ReportFrame& frame, const std::vector<storage::v1::TlsReportRow>& rows);

}  // namespace hikyaku::tls_report

#endif  // HIKYAKU_LIB_TLS_REPORT_REPORT_H_
