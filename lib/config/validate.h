// Whether a configuration makes sense for a role: after the loader has checked the types, this checks the meaning.
#ifndef HIKYAKU_LIB_CONFIG_VALIDATE_H_
#define HIKYAKU_LIB_CONFIG_VALIDATE_H_

#include "absl/status/status.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/config/role.h"
#include "lib/config/source_map.h"

namespace hikyaku::config {

// Checks `config`, to which ApplyDefaults was applied; `source` gives the lines. Pure.
// kInvalidArgument: the first thing that is wrong, as "FILE:LINE: PATH: what is wrong: what to do".  Exit with 2; at a
// reload, keep the old configuration and log it.
absl::Status Validate(const v1::Config& config, Role role, const SourceMap& source);

// Checks what only this machine can tell: data_dir (where `role` has the queue) is a folder that can be written, or can
// be made. Errors as above. For `serve`, not for `config check`, which may run elsewhere.
absl::Status CheckDataDir(const v1::Config& config, Role role, const SourceMap& source);

// The same for delivery.tls.ca_file, where `role` delivers, and for queue.tls: the files can be read, are PEM, the key
// is the certificate's, and the authority issued it. That a certificate has run out is no error here: new files may
// come while the process runs. Nothing of queue.tls is checked for `role` all, which has no shard elsewhere.
absl::Status CheckTlsFiles(const v1::Config& config, Role role, const SourceMap& source);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_VALIDATE_H_
