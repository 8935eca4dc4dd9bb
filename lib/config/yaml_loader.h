// Reads the configuration file: one YAML document, mapped to hikyaku.v1.Config by reflection, key for field name.
//
// Source:     proto/hikyaku/v1/config.proto says what every key means; YAML 1.2 by yaml-cpp.
// Non-goals:  defaults (defaults.h), whether the values make sense together (validate.h).
// Threading:  pure functions, but for the file.
//
// The usual order, at the start and at a reload:
//   ASSIGN_OR_RETURN(LoadedConfig loaded, LoadConfigFile(path));
//   ApplyDefaults(loaded.config, role);
//   RETURN_IF_ERROR(Validate(loaded.config, role, loaded.source));
// or LoadEffectiveConfig (effective.h), which is these three.
#ifndef HIKYAKU_LIB_CONFIG_YAML_LOADER_H_
#define HIKYAKU_LIB_CONFIG_YAML_LOADER_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/config/source_map.h"

namespace hikyaku::config {

inline constexpr std::size_t kMaxFileSize = 1 << 20;

struct LoadedConfig {
  v1::Config config;
  SourceMap source;
};

// Maps `text`; `file` is what errors call it. An empty text is an empty Config.
//
// Errors, for whoever wrote the file; the message is one line, "FILE:LINE: PATH: what is wrong: what to do":
//   kInvalidArgument  Not YAML, more than one document, an unknown key (with the nearest valid one), a key twice, a
//                     wrong type, a bad duration, size, number or word.   Exit with 2.
absl::StatusOr<LoadedConfig> ParseConfig(absl::string_view text, std::string file);

// The same for a file of at most kMaxFileSize. Errors as above, and kInvalidArgument also for a file that cannot be
// read or is too large.
absl::StatusOr<LoadedConfig> LoadConfigFile(const std::string& path);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_YAML_LOADER_H_
