#include "lib/dkim/header_digest.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "lib/crypto/digest.h"

namespace hikyaku::dkim {

std::string HeaderDigest(const mime::HeaderFields& header, const std::vector<std::string>& names, Form form,
                         absl::string_view own) {
  absl::flat_hash_map<std::string, std::vector<absl::string_view>> fields;  // By name, from the top.
  for (const std::string& name : names) fields.try_emplace(name);
  for (const mime::HeaderField& field : header.fields()) {
    const auto wanted = fields.find(absl::AsciiStrToLower(field.name));
    if (wanted != fields.end()) wanted->second.push_back(field.raw);
  }
  std::string text;
  for (const std::string& name : names) {
    std::vector<absl::string_view>& left = fields[name];
    if (left.empty()) continue;
    AppendField(form, left.back(), &text);
    text.append("\r\n");
    left.pop_back();
  }
  AppendField(form, own, &text);
  return crypto::Sha256(text);
}

}  // namespace hikyaku::dkim
