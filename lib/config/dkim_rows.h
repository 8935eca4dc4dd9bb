// The section dkim of the configuration, as far as the file alone tells.
//
// Threading: pure.
#ifndef HIKYAKU_LIB_CONFIG_DKIM_ROWS_H_
#define HIKYAKU_LIB_CONFIG_DKIM_ROWS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/config/source_map.h"

namespace hikyaku::config {

// Signatures that one mail can get: each costs its reader a DNS query.
inline constexpr int kMaxSelectors = 4;

// kInvalidArgument as of Validate: a missing folder, a row that names no domain, no selector, or the same one twice.
absl::Status ValidateDkim(const v1::Config& config, const SourceMap& source);

// Whether mail from `domain` (an A-label) gets a signature whose d= is this domain or one above it.
bool SignsFor(const v1::Config& config, absl::string_view domain);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_DKIM_ROWS_H_
