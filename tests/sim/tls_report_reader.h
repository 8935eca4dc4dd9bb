// Reads a report on TLS (RFC 8460) as its receiver would: the mail, the packed file in it, the sums.
//
// Threading: pure.
#ifndef HIKYAKU_TESTS_SIM_TLS_REPORT_READER_H_
#define HIKYAKU_TESTS_SIM_TLS_REPORT_READER_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::sim {

// How many sessions there were of each result-type; of "": as the policy asks.
using Sessions = std::map<std::string, std::uint64_t>;

// The id of the report on TLS that `message` is; empty: it is none.
std::string TlsReportIdOf(absl::string_view message);

struct TlsReportText {
  std::string domain;
  std::uint32_t day = 0;  // Since 1970, UTC.
  Sessions sessions;
};

// kInvalidArgument: it cannot be read, or its sums are wrong.
absl::StatusOr<TlsReportText> ReadTlsReport(absl::string_view message);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_TLS_REPORT_READER_H_
