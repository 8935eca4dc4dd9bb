// Whether the DKIM keys of a configuration can be used, asked before anything is started: a key that is missing is one
// line that names its key in the configuration, not mail that waits.
#ifndef HIKYAKU_SERVICES_HIKYAKU_DKIM_KEY_CHECK_H_
#define HIKYAKU_SERVICES_HIKYAKU_DKIM_KEY_CHECK_H_

#include "absl/status/status.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/config/role.h"
#include "lib/config/source_map.h"

namespace hikyaku::cli {

// Reads each key, where `role` delivers. `config` is valid.
// kInvalidArgument "FILE:LINE: dkim.domains[0].selectors[0]: FILE why: what to do".  Exit with 2.
absl::Status CheckDkimKeys(const v1::Config& config, config::Role role, const config::SourceMap& source);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_DKIM_KEY_CHECK_H_
