// TXT records out of a zone file, so that signatures can be checked before the DNS has their keys.
//
// Source:    RFC 1035 §5.1 (master files). Of it: owner names, $ORIGIN, $TTL, TTL, class IN, type TXT, quoted strings
// with
//            escapes, parentheses, comments. Records of other types are passed over.
// Threading: pure.
#ifndef HIKYAKU_SERVICES_HIKYAKU_DKIM_ZONE_FILE_H_
#define HIKYAKU_SERVICES_HIKYAKU_DKIM_ZONE_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::cli {

// By owner name (lower case, no trailing dot), the strings of each record joined.
using TxtRecords = std::map<std::string, std::vector<std::string>>;

// kInvalidArgument: a quote or a parenthesis that does not end, or a TXT record without an owner; the text names the
// line.
absl::StatusOr<TxtRecords> ParseZone(absl::string_view text);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_DKIM_ZONE_FILE_H_
