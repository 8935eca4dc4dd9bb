// Source:     RFC 1952; by zlib.
// Threading:  pure.
#ifndef HIKYAKU_LIB_TLS_REPORT_GZIP_H_
#define HIKYAKU_LIB_TLS_REPORT_GZIP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::tls_report {

// `text` as a gzip file without a name or a time: the same text gives the same bytes. `text`: less than 1 GiB.
std::string Gzip(absl::string_view text);

}  // namespace hikyaku::tls_report

#endif  // HIKYAKU_LIB_TLS_REPORT_GZIP_H_
