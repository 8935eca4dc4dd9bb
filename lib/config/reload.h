// What a running process can take over from a changed configuration, and what must wait for a restart.
//
// Source:    the word "Reload" at a field of config.proto. Threading: pure.
#ifndef HIKYAKU_LIB_CONFIG_RELOAD_H_
#define HIKYAKU_LIB_CONFIG_RELOAD_H_

#include <string>
#include <vector>

#include "hikyaku/v1/config.pb.h"

namespace hikyaku::config {

// The changed keys that cannot be taken over, as far as two levels tell: "data_dir", "limits.recipients".
std::vector<std::string> NeedRestart(const v1::Config& running, const v1::Config& wanted);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_RELOAD_H_
