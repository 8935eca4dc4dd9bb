#include "lib/config/yaml_mapper.h"

#include <google/protobuf/duration.pb.h>

#include <cmath>
#include <limits>
#include <set>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/base/status_macros.h"
#include "lib/base/units.h"
#include "lib/base/utf8.h"
#include "lib/config/nearest.h"

namespace hikyaku::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// yaml-cpp's tag of a scalar without quotes; a quoted one is text and never a number.
constexpr char kPlain[] = "?";

// An error must stay one readable line, whatever the file holds.
std::string Quoted(const std::string& text) {
  constexpr std::size_t kMaxQuoted = 60;
  std::string out;
  for (const char c : text.substr(0, kMaxQuoted)) out.push_back(absl::ascii_iscntrl(c) ? ' ' : c);
  return absl::StrCat("\"", out, text.size() > kMaxQuoted ? "…" : "", "\"");
}

// An escape in quotes brings what the loader refuses in the file itself; `\N` gives a byte that is not UTF-8.
bool IsOneLineOfText(absl::string_view text) {
  return IsValidUtf8(text) && absl::c_none_of(text, [](char c) { return absl::ascii_iscntrl(c); });
}

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

const char* Shape(const YAML::Node& node) {
  if (node.IsMap()) return "a group of keys";
  if (node.IsSequence()) return "a list";
  if (node.IsScalar()) return "a single value";
  return "nothing";
}

template <typename M>
bool Is(const FieldDescriptor& field) {
  return field.type() == FieldDescriptor::TYPE_MESSAGE && field.message_type() == M::descriptor();
}

class Mapper {
 public:
  explicit Mapper(SourceMap* source) : source_(*source) {}

  absl::Status Map(const YAML::Node& node, const std::string& path, Message* message);

 private:
  absl::Status MapField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                        Message* message);
  absl::Status MapList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message* message);
  absl::Status MapOne(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message* message);
  absl::Status MapScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                         Message* message);
  absl::Status MapInteger(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                          Message* message);
  absl::Status MapDouble(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                         Message* message);
  absl::Status MapBool(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message* message);
  absl::Status MapEnum(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message* message);
  absl::Status MapDuration(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                           Message* message);
  absl::Status MapSize(const YAML::Node& node, const std::string& path, const FieldDescriptor& field, Message* message);

  SourceMap& source_;
};

absl::Status Mapper::Map(const YAML::Node& node, const std::string& path, Message* message) {
  if (node.IsNull()) return absl::OkStatus();
  if (!node.IsMap()) return source_.Error(path, absl::StrCat("is ", Shape(node), ": write keys and values below it"));
  const Descriptor& type = *message->GetDescriptor();
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());

  std::set<std::string> seen;
  for (const auto& entry : node) {
    const int line = entry.first.Mark().line + 1;
    if (!entry.first.IsScalar()) {
      source_.Add(Join(path, "?"), line);
      return source_.Error(Join(path, "?"), absl::StrCat("the key is ", Shape(entry.first), ": write a name"));
    }
    const std::string& key = entry.first.Scalar();
    const FieldDescriptor* field = type.FindFieldByName(key);
    const std::string key_path = Join(path, field != nullptr ? key : Quoted(key).substr(1, Quoted(key).size() - 2));
    source_.Add(key_path, line);
    if (field == nullptr) return source_.Error(key_path, absl::StrCat("unknown key; ", Suggest(key, names)));
    if (!seen.insert(key).second) return source_.Error(key_path, "is given twice: keep one of the two");
    RETURN_IF_ERROR(MapField(entry.second, key_path, *field, message));
  }
  return absl::OkStatus();
}

absl::Status Mapper::MapField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                              Message* message) {
  if (field.is_repeated()) return MapList(node, path, field, message);
  return MapOne(node, path, field, message);
}

absl::Status Mapper::MapList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                             Message* message) {
  if (node.IsNull()) return absl::OkStatus();
  if (!node.IsSequence()) {
    return source_.Error(path, absl::StrCat("is ", Shape(node), ": write a list, as [A, B] or one - item a line"));
  }
  for (std::size_t i = 0; i < node.size(); ++i) {
    const std::string item = absl::StrCat(path, "[", i, "]");
    // yaml-cpp knows no line of what is not there.
    if (node[i].IsNull()) return source_.Error(item, "is an empty item: give it a value or remove it");
    source_.Add(item, node[i].Mark().line + 1);
    RETURN_IF_ERROR(MapOne(node[i], item, field, message));
  }
  return absl::OkStatus();
}

absl::Status Mapper::MapOne(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                            Message* message) {
  if (field.type() == FieldDescriptor::TYPE_MESSAGE && !Is<google::protobuf::Duration>(field) && !Is<v1::Size>(field)) {
    const Reflection& reflection = *message->GetReflection();
    return Map(
        node, path,
        field.is_repeated() ? reflection.AddMessage(message, &field) : reflection.MutableMessage(message, &field));
  }
  if (node.IsNull()) return source_.Error(path, "has no value: give one, or remove the key for its default");
  if (!node.IsScalar()) return source_.Error(path, absl::StrCat("is ", Shape(node), ": write a single value"));
  return MapScalar(node, path, field, message);
}

absl::Status Mapper::MapScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                               Message* message) {
  const Reflection& reflection = *message->GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (!IsOneLineOfText(node.Scalar())) {
        return source_.Error(path,
                             "holds a control character, a line break or bytes that are no text: write one plain line");
      }
      if (field.is_repeated()) {
        reflection.AddString(message, &field, node.Scalar());
      } else {
        reflection.SetString(message, &field, node.Scalar());
      }
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64: return MapInteger(node, path, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE: return MapDouble(node, path, field, message);
    case FieldDescriptor::CPPTYPE_BOOL: return MapBool(node, path, field, message);
    case FieldDescriptor::CPPTYPE_ENUM: return MapEnum(node, path, field, message);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Is<v1::Size>(field) ? MapSize(node, path, field, message) : MapDuration(node, path, field, message);
    default: return source_.Error(path, absl::StrCat("has a type that the loader does not know: ", field.type_name()));
  }
}

absl::Status Mapper::MapInteger(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                                Message* message) {
  const bool is_32 = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
  const std::uint64_t limit =
      is_32 ? std::numeric_limits<std::uint32_t>::max() : std::numeric_limits<std::uint64_t>::max();
  const std::string& text = node.Scalar();
  std::uint64_t value = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  if (node.Tag() != kPlain || !digits) {
    return source_.Error(path, absl::StrCat(Quoted(text), " is not a whole number: write digits without quotes"));
  }
  if (!absl::SimpleAtoi(text, &value) || value > limit) {
    return source_.Error(path, absl::StrCat(Quoted(text), " is too large: write at most ", limit));
  }
  // Without presence, 0 cannot be told from a key that is left out: the default would silently win.
  if (value == 0 && !field.has_presence() && !field.is_repeated()) {
    return source_.Error(path, "is 0: write at least 1, or remove the key for its default");
  }
  const Reflection& reflection = *message->GetReflection();
  if (field.is_repeated() && !is_32) {
    reflection.AddUInt64(message, &field, value);
  } else if (is_32) {
    reflection.SetUInt32(message, &field, static_cast<std::uint32_t>(value));
  } else {
    reflection.SetUInt64(message, &field, value);
  }
  return absl::OkStatus();
}

absl::Status Mapper::MapDouble(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                               Message* message) {
  double value = 0;
  if (node.Tag() != kPlain || !absl::SimpleAtod(node.Scalar(), &value) || !std::isfinite(value)) {
    return source_.Error(path, absl::StrCat(Quoted(node.Scalar()), " is not a number: write one as in 0.2"));
  }
  message->GetReflection()->SetDouble(message, &field, value);
  return absl::OkStatus();
}

absl::Status Mapper::MapBool(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                             Message* message) {
  const std::string& text = node.Scalar();
  if (node.Tag() != kPlain || (text != "true" && text != "false")) {
    return source_.Error(path, absl::StrCat(Quoted(text), " is not a truth value: write true or false"));
  }
  message->GetReflection()->SetBool(message, &field, text == "true");
  return absl::OkStatus();
}

absl::Status Mapper::MapEnum(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                             Message* message) {
  std::vector<std::string> words;
  for (int i = 0; i < field.enum_type()->value_count(); ++i) {
    const EnumValueDescriptor& value = *field.enum_type()->value(i);
    words.push_back(EnumWord(value));
    if (words.back() != node.Scalar()) continue;
    message->GetReflection()->SetEnum(message, &field, &value);
    return absl::OkStatus();
  }
  return source_.Error(path,
                       absl::StrCat(Quoted(node.Scalar()), " is unknown: write one of ", absl::StrJoin(words, ", ")));
}

absl::Status Mapper::MapDuration(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                                 Message* message) {
  const absl::StatusOr<absl::Duration> value = ParseDuration(node.Scalar());
  if (!value.ok()) {
    return source_.Error(path,
                         absl::StrCat(Quoted(node.Scalar()),
                                      " is not a duration: write a number and ms, s, m, h, d or w, as in 30s, 5m"));
  }
  Message* into = message->GetReflection()->MutableMessage(message, &field);
  auto& duration = static_cast<google::protobuf::Duration&>(*into);
  duration.set_seconds(absl::ToInt64Seconds(*value));
  duration.set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(*value - absl::Seconds(duration.seconds()))));
  return absl::OkStatus();
}

absl::Status Mapper::MapSize(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                             Message* message) {
  const absl::StatusOr<std::uint64_t> value = ParseSize(node.Scalar());
  if (!value.ok()) {
    return source_.Error(path,
                         absl::StrCat(Quoted(node.Scalar()),
                                      " is not a size: write a whole number and B, KiB, MiB, GiB or TiB, as in 25MiB"));
  }
  static_cast<v1::Size*>(message->GetReflection()->MutableMessage(message, &field))->set_bytes(*value);
  return absl::OkStatus();
}

}  // namespace

absl::Status MapYaml(const YAML::Node& root, Message* message, SourceMap* source) {
  return Mapper(source).Map(root, "", message);
}

std::string EnumWord(const EnumValueDescriptor& value) {
  return value.full_name() == "hikyaku.v1.SmtpListener.no" ? "none" : value.name();
}

}  // namespace hikyaku::config
