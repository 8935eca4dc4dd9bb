#include "lib/config/print.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/units.h"
#include "lib/config/duration.h"
#include "lib/config/yaml_mapper.h"

namespace hikyaku::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void PrintMessage(const Message& message, YAML::Emitter* out);

// Short where that says the same: 0.2, not 0.20000000000000001.
std::string FormatDouble(double value) {
  const std::string brief = absl::StrCat(value);
  double read = 0;
  return absl::SimpleAtod(brief, &read) && read == value ? brief : absl::StrFormat("%.17g", value);
}

void PrintNested(const Message& message, YAML::Emitter* out) {
  if (message.GetDescriptor() == google::protobuf::Duration::descriptor()) {
    *out << hikyaku::FormatDuration(ToDuration(static_cast<const google::protobuf::Duration&>(message)));
  } else if (message.GetDescriptor() == v1::Size::descriptor()) {
    *out << FormatSize(static_cast<const v1::Size&>(message).bytes());
  } else {
    PrintMessage(message, out);
  }
}

// One value of the field; of a repeated one, that at `index`.
void PrintValue(const Message& message, const FieldDescriptor& field, int index, YAML::Emitter* out) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      *out << YAML::DoubleQuoted
           << (repeated ? reflection.GetRepeatedString(message, &field, index) : reflection.GetString(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_UINT32: *out << reflection.GetUInt32(message, &field); break;
    case FieldDescriptor::CPPTYPE_UINT64:
      *out << (repeated ? reflection.GetRepeatedUInt64(message, &field, index) : reflection.GetUInt64(message, &field));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE: *out << FormatDouble(reflection.GetDouble(message, &field)); break;
    case FieldDescriptor::CPPTYPE_BOOL: *out << (reflection.GetBool(message, &field) ? "true" : "false"); break;
    case FieldDescriptor::CPPTYPE_ENUM: *out << EnumWord(*reflection.GetEnum(message, &field)); break;
    default:
      PrintNested(
          repeated ? reflection.GetRepeatedMessage(message, &field, index) : reflection.GetMessage(message, &field),
          out);
  }
}

void PrintMessage(const Message& message, YAML::Emitter* out) {
  std::vector<const FieldDescriptor*> fields;  // Those that are set, by number: as in config.proto.
  message.GetReflection()->ListFields(message, &fields);
  *out << YAML::BeginMap;
  for (const FieldDescriptor* field : fields) {
    *out << YAML::Key << field->name() << YAML::Value;
    if (!field->is_repeated()) {
      PrintValue(message, *field, 0, out);
      continue;
    }
    *out << YAML::BeginSeq;
    const int size = message.GetReflection()->FieldSize(message, field);
    for (int i = 0; i < size; ++i) PrintValue(message, *field, i, out);
    *out << YAML::EndSeq;
  }
  *out << YAML::EndMap;
}

}  // namespace

std::string PrintConfig(const v1::Config& config) {
  YAML::Emitter out;
  PrintMessage(config, &out);
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace hikyaku::config
