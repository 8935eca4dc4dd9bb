// One YAML mapping into one protobuf message, by reflection.
//
// Threading: pure.
#ifndef HIKYAKU_LIB_CONFIG_YAML_MAPPER_H_
#define HIKYAKU_LIB_CONFIG_YAML_MAPPER_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/config/source_map.h"

namespace hikyaku::config {

// Sets `message` from `root`, a map or nothing, and notes the line of each key in `source`.
// kInvalidArgument as documented in yaml_loader.h. yaml-cpp may throw YAML::Exception: the caller catches.
absl::Status MapYaml(const YAML::Node& root, google::protobuf::Message* message, SourceMap* source);

// How the words of an enum are written in YAML. They are the names of its values, but for the `none` of
// SmtpListener.Auth: two enums of one message cannot both name a value `none`, so the proto says `no`.
std::string EnumWord(const google::protobuf::EnumValueDescriptor& value);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_YAML_MAPPER_H_
