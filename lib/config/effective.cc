#include "lib/config/effective.h"

#include "lib/base/status_macros.h"
#include "lib/config/defaults.h"
#include "lib/config/validate.h"

namespace hikyaku::config {

absl::StatusOr<LoadedConfig> LoadEffectiveConfig(const std::string& path, Role role) {
  ASSIGN_OR_RETURN(LoadedConfig loaded, LoadConfigFile(path));
  ApplyDefaults(loaded.config, role);
  RETURN_IF_ERROR(Validate(loaded.config, role, loaded.source));
  return loaded;
}

}  // namespace hikyaku::config
