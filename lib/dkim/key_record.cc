#include "lib/dkim/key_record.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/dkim/tag_list.h"

namespace hikyaku::dkim {
namespace {

constexpr std::size_t kMaxTxtString = 255;  // RFC 1035 §3.3: a character-string.

bool Holds(absl::string_view list, absl::string_view wanted) {
  const auto members = SplitColons(list);
  return std::any_of(members.begin(), members.end(),
                     [&](absl::string_view member) { return absl::EqualsIgnoreCase(member, wanted); });
}

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(absl::StrCat("the key record ", what)); }

absl::Status CheckUse(const TagList& tags) {
  if (const auto version = tags.Find("v")) {
    if (tags.tags().front().name != "v" || *version != "DKIM1") return Wrong("does not begin with v=DKIM1");
  }
  if (const auto hashes = tags.Find("h"); hashes && !Holds(*hashes, "sha256"))
    return Wrong("does not allow sha256 (h=)");
  if (const auto services = tags.Find("s"); services && !Holds(*services, "*") && !Holds(*services, "email")) {
    return Wrong("is not for e-mail (s=)");
  }
  return absl::OkStatus();
}

absl::StatusOr<crypto::KeyType> Type(const TagList& tags) {
  const absl::string_view name = tags.Find("k").value_or("rsa");
  if (absl::EqualsIgnoreCase(name, "rsa")) return crypto::KeyType::kRsa;
  if (absl::EqualsIgnoreCase(name, "ed25519")) return crypto::KeyType::kEd25519;
  return Wrong("is for another kind of key than rsa or ed25519 (k=)");
}

}  // namespace

absl::StatusOr<KeyRecord> ParseKeyRecord(absl::string_view text) {
  const auto tags = TagList::Parse(text);
  if (!tags.ok()) return Wrong(absl::StrCat("cannot be read: ", tags.status().message()));
  RETURN_IF_ERROR(CheckUse(*tags));
  KeyRecord record;
  ASSIGN_OR_RETURN(record.type, Type(*tags));
  const auto key = tags->Find("p");
  if (!key) return Wrong("holds no key (p=)");
  if (!absl::Base64Unescape(WithoutBlanks(*key), &record.key)) return Wrong("holds a key that is not base64 (p=)");
  if (const auto flags = tags->Find("t")) {
    record.testing = Holds(*flags, "y");
    record.exact = Holds(*flags, "s");
  }
  return record;
}

std::string FormatKeyRecord(const crypto::SigningKey& key) {
  const absl::string_view type = key.type() == crypto::KeyType::kRsa ? "rsa" : "ed25519";
  return absl::StrCat("v=DKIM1; k=", type, "; p=", absl::Base64Escape(key.PublicKey()));
}

std::string FormatTxtData(absl::string_view text) {
  std::string data;
  for (std::size_t at = 0; at < text.size(); at += kMaxTxtString) {
    absl::StrAppend(&data, data.empty() ? "\"" : " \"", text.substr(at, kMaxTxtString), "\"");
  }
  return data;
}

}  // namespace hikyaku::dkim
