// Gives every key that the file left out the default that its comment in config.proto names.
#ifndef HIKYAKU_LIB_CONFIG_DEFAULTS_H_
#define HIKYAKU_LIB_CONFIG_DEFAULTS_H_

#include "hikyaku/v1/config.pb.h"
#include "lib/config/role.h"

namespace hikyaku::config {

// Where Debian's ca-certificates keeps the authorities that it believes.
inline constexpr char kSystemRoots[] = "/etc/ssl/certs/ca-certificates.crt";

// Afterwards every duration, size and number that `role` reads is set, and so are the listeners that `role` opens.
// What may still be missing, because no default is right: data_dir, queue.shards (not for kAll, which gets the one
// shard q0 without address), queue.name (when several shards are listed and none bears the machine's name), dns.servers
// (empty: the system's), hostname (when the machine's name is no FQDN). Validate complains about those that `role`
// needs. Applying twice changes nothing. Reads the machine's host name and number of cores.
void ApplyDefaults(v1::Config& config, Role role);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_DEFAULTS_H_
