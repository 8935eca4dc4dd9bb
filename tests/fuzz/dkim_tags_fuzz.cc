// Tags are read without loss; what a signature or a key record says keeps its promises; leaving b= out touches nothing
// else.
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/dkim/key_record.h"
#include "lib/dkim/signature.h"
#include "lib/dkim/tag_list.h"
#include "services/hikyaku/dkim/zone_file.h"

namespace {

using namespace hikyaku::dkim;  // NOLINT(google-build-using-namespace): the file is about nothing else.

// Written again from what was read, it reads the same.
void CheckTags(absl::string_view text) {
  const auto list = TagList::Parse(text);
  if (!list.ok()) return;
  HIKYAKU_CHECK(list->tags().size() <= kMaxTags && text.size() <= kMaxTagListOctets);
  std::string again;
  for (const Tag& tag : list->tags()) {
    HIKYAKU_CHECK(!tag.name.empty() && !absl::StrContains(tag.value, ";"));
    HIKYAKU_CHECK(list->Find(tag.name) == tag.value);
    absl::StrAppend(&again, tag.name, "=", tag.value, ";");
  }
  if (again.size() > kMaxTagListOctets) return;
  const auto reread = TagList::Parse(again);
  HIKYAKU_CHECK(reread.ok() && reread->tags().size() == list->tags().size());
}

void CheckSignature(absl::string_view value) {
  const auto signature = ParseSignature(value);
  if (!signature.ok()) {
    HIKYAKU_CHECK(!signature.status().message().empty());
    return;
  }
  HIKYAKU_CHECK(IsDnsName(signature->domain) && IsDnsName(signature->selector));
  HIKYAKU_CHECK(absl::StrContains(signature->identity, "@"));
  HIKYAKU_CHECK(absl::EndsWithIgnoreCase(signature->identity, signature->domain));
  HIKYAKU_CHECK(signature->body_digest.size() == hikyaku::crypto::kDigestOctets);
  HIKYAKU_CHECK(!signature->signed_names.empty() && signature->signed_names.size() <= kMaxSignedNames);
  const auto bare = ParseSignature(WithoutSignatureBytes(absl::StrCat("X:", value)).substr(2));
  HIKYAKU_CHECK(!bare.ok() && absl::StartsWith(bare.status().message(), "b= is empty"));
}

void CheckRecord(absl::string_view text) {
  const auto record = ParseKeyRecord(text);
  if (!record.ok()) return;
  const auto key = hikyaku::crypto::VerifyingKey::Parse(record->type, record->key);
  if (key.ok()) {
    HIKYAKU_CHECK(key->type() == record->type && !key->Verify(std::string(32, 'd'), "no signature"));
    HIKYAKU_CHECK(key->bits() >= 256 && key->bits() <= hikyaku::crypto::kMaxRsaBits);
  }
}

void CheckZone(absl::string_view text) {
  const auto zone = hikyaku::cli::ParseZone(text);
  if (!zone.ok()) return;
  for (const auto& [name, records] : *zone) HIKYAKU_CHECK(!name.empty() && name.back() != '.' && !records.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckTags(text);
  CheckSignature(text);
  CheckRecord(text);
  CheckZone(text);
  return 0;
}
