// From a file to the configuration that a process runs with: load, defaults, validation.
#ifndef HIKYAKU_LIB_CONFIG_EFFECTIVE_H_
#define HIKYAKU_LIB_CONFIG_EFFECTIVE_H_

#include <string>

#include "absl/status/statusor.h"
#include "lib/config/role.h"
#include "lib/config/yaml_loader.h"

namespace hikyaku::config {

// kInvalidArgument as of LoadConfigFile and Validate: one line for whoever wrote the file.
absl::StatusOr<LoadedConfig> LoadEffectiveConfig(const std::string& path, Role role);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_EFFECTIVE_H_
