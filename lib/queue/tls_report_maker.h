// Makes of what was counted for a domain on a day what is queued for its report on TLS: one mail to all its addresses,
// and for each of its URLs a delivery that is POSTed (Envelope.post_type). All bring the same report, with one id, by
// which the domain knows that they are one (RFC 8460 §5.3).
//
// Source:     RFC 8460 §3 (which addresses), §5.3 (mail), §5.4 (POST), §5.5 (tried again for 24 hours).
// Threading:  anywhere; it only reads the engine's options.
#ifndef HIKYAKU_LIB_QUEUE_TLS_REPORT_MAKER_H_
#define HIKYAKU_LIB_QUEUE_TLS_REPORT_MAKER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "hikyaku/storage/v1/records.pb.h"
#include "lib/queue/metrics.h"
#include "lib/queue/reports.h"

namespace hikyaku::queue {

struct Engine;

struct MadeTlsReport {
  std::vector<ReportMail> mails;  // Empty: nobody gets it.
  std::vector<TlsReportFate> fates;
};

// `rows`: all of this domain and day.
MadeTlsReport MakeTlsReport(Engine& engine, std::uint32_t day, const std::string& domain,
                            const std::vector<storage::v1::TlsReportRow>& rows);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_TLS_REPORT_MAKER_H_
