// The TXT record at `_smtp._tls.DOMAIN`, by which a domain asks for reports on the TLS of its mail.
//
// Source:     RFC 8460 §3.
// Non-goals:  the look-up.
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_TLS_REPORT_RECORD_H_
#define HIKYAKU_LIB_TLS_REPORT_RECORD_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/address/address.h"

namespace hikyaku::tls_report {

inline constexpr std::size_t kMaxRecordBytes = 4096;
inline constexpr std::size_t kMaxAddresses = 8;  // URIs of one record; the first ones are taken.

// "_smtp._tls.example.net".
std::string RecordName(absl::string_view domain);

// The URIs of `rua`, as they were written: "mailto:…", "https://…". `texts`: every TXT record of the name, each with
// its strings joined. Nothing: the domain asks for none, or breaks the form; more than one record counts as none.
std::optional<std::vector<std::string>> ParseRecord(const std::vector<std::string>& texts);

// The address of a "mailto:" URI; its header fields ("?subject=") are passed over. Nothing: another scheme, or no one
// address.
std::optional<address::Address> MailtoAddress(absl::string_view uri);

}  // namespace hikyaku::tls_report

#endif  // HIKYAKU_LIB_TLS_REPORT_RECORD_H_
