// Whether the listeners of a configuration can be opened, asked before anything is started: so that a port in use is
// one line that names its key, and nothing has been touched yet.
#ifndef HIKYAKU_SERVICES_HIKYAKU_LISTEN_CHECK_H_
#define HIKYAKU_SERVICES_HIKYAKU_LISTEN_CHECK_H_

#include "absl/status/status.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/config/role.h"
#include "lib/config/source_map.h"

namespace hikyaku::cli {

// Binds each address that `role` listens on, for a moment. `config` is valid.
// kInvalidArgument "FILE:LINE: listeners.smtp[0].address: 127.0.0.1:25 …: what to do".  Exit with 2.
absl::Status CheckListeners(const v1::Config& config, config::Role role, const config::SourceMap& source);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_LISTEN_CHECK_H_
