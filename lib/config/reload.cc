#include "lib/config/reload.h"

#include <google/protobuf/util/message_differencer.h>

namespace hikyaku::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

v1::Config WithoutReloadable(v1::Config config) {
  config.clear_trusted_networks();
  config.mutable_queue()->clear_lifetime();
  config.mutable_queue()->clear_domain_concurrency();
  config.mutable_delivery()->clear_allow_ranges();
  config.mutable_delivery()->clear_routes();
  config.mutable_delivery()->clear_sources();
  config.mutable_delivery()->clear_source_pools();
  config.mutable_delivery()->clear_maildir_root();
  config.mutable_delivery()->clear_tls();
  config.mutable_log()->clear_level();
  config.clear_dkim();
  config.clear_reports();
  return config;
}

bool SameField(const Message& a, const Message& b, const FieldDescriptor* field) {
  MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {field}, {field});
}

// Names of the fields in which the two differ; sections are named by their own fields.
void Differences(const Message& a, const Message& b, const std::string& prefix, std::vector<std::string>* names) {
  const auto* descriptor = a.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (SameField(a, b, field)) continue;
    const bool section =
        prefix.empty() && !field->is_repeated() && field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (section) {
      Differences(a.GetReflection()->GetMessage(a, field), b.GetReflection()->GetMessage(b, field), field->name() + ".",
                  names);
    } else {
      names->push_back(prefix + field->name());
    }
  }
}

}  // namespace

std::vector<std::string> NeedRestart(const v1::Config& running, const v1::Config& wanted) {
  std::vector<std::string> names;
  Differences(WithoutReloadable(running), WithoutReloadable(wanted), "", &names);
  return names;
}

}  // namespace hikyaku::config
