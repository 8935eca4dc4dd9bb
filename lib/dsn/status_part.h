// The machine's part of a report. Inside of BuildReport.
//
// Source:     RFC 3464 §2, RFC 6533 §4.
// Threading:  pure.
#ifndef HIKYAKU_LIB_DSN_STATUS_PART_H_
#define HIKYAKU_LIB_DSN_STATUS_PART_H_

#include <string>

#include "lib/dsn/report.h"

namespace hikyaku::dsn {

// Its content, in CRLF lines. `utf8`: as message/global-delivery-status, where addresses and texts are themselves;
// otherwise everything is ASCII.
std::string StatusPart(const Report& report, bool utf8);

// Bytes of `text` that each recipient may fill.
std::size_t TextLimit(const Report& report);

// "550 5.1.1 no such user", or our own words.
std::string Said(const ReportedRecipient& recipient, std::size_t limit);

// The host's name in "mx1.example.net [192.0.2.1]:25"; the literal if it has none.
absl::string_view HostName(absl::string_view remote_host);

}  // namespace hikyaku::dsn

#endif  // HIKYAKU_LIB_DSN_STATUS_PART_H_
