// A configuration as the YAML that loads to the same configuration: `hikyaku config print`.
#ifndef HIKYAKU_LIB_CONFIG_PRINT_H_
#define HIKYAKU_LIB_CONFIG_PRINT_H_

#include <string>

#include "hikyaku/v1/config.pb.h"

namespace hikyaku::config {

// Keys in the order of config.proto; what is unset is left out.
std::string PrintConfig(const v1::Config& config);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_PRINT_H_
