// The words of a report. Inside of BuildReport.
//
// Threading: pure.
#ifndef HIKYAKU_LIB_DSN_TEXT_PART_H_
#define HIKYAKU_LIB_DSN_TEXT_PART_H_

#include <string>

#include "lib/dsn/report.h"

namespace hikyaku::dsn {

absl::string_view Subject(Action action);

// What a person reads: which address, what its host said, what to do. UTF-8 in CRLF lines.
std::string TextPart(const Report& report);

}  // namespace hikyaku::dsn

#endif  // HIKYAKU_LIB_DSN_TEXT_PART_H_
