// A DNS server's answer, whatever it holds: bounded, printable where it is a name, and cut off nowhere. A well-formed
// answer that is put together from the same bytes gives back exactly its records.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "lib/base/check.h"
#include "lib/dns/dns_message.h"
#include "tests/fuzz/input.h"
#include "tests/unit/dns/message_builder.h"

namespace {

using namespace hikyaku::dns;  // NOLINT(google-build-using-namespace): the file is about nothing else.

constexpr RecordType kTypes[] = {RecordType::kA,  RecordType::kCname, RecordType::kSoa,  RecordType::kPtr,
                                 RecordType::kMx, RecordType::kTxt,   RecordType::kAaaa, RecordType::kTlsa};

void CheckName(const std::string& name) {
  HIKYAKU_CHECK(name.size() <= 253);
  for (const char c : name) HIKYAKU_CHECK(absl::ascii_isgraph(c) && !absl::ascii_isupper(c));
}

void CheckRecord(const RecordData& record, RecordType type) {
  switch (type) {
    case RecordType::kA: HIKYAKU_CHECK(record.address.is_v4()); break;
    case RecordType::kAaaa: HIKYAKU_CHECK(record.address.is_v6()); break;
    case RecordType::kTxt: HIKYAKU_CHECK(record.text.size() <= kMaxTextRecord); break;
    case RecordType::kTlsa: HIKYAKU_CHECK(record.text.size() <= kMaxTlsaRecord); break;
    default: CheckName(record.text);
  }
}

void ReadAnything(absl::string_view message) {
  for (const RecordType type : kTypes) {
    const auto response = ParseResponse(message, "a.test", type);
    if (!response.ok()) continue;
    HIKYAKU_CHECK(response->records.size() <= kMaxRecords);
    HIKYAKU_CHECK(response->ttl >= absl::ZeroDuration() && response->ttl <= absl::Seconds(0x7FFFFFFF));
    if (response->records.empty()) HIKYAKU_CHECK(response->ttl == absl::ZeroDuration());
    if (response->negative_ttl.has_value()) HIKYAKU_CHECK(*response->negative_ttl >= absl::ZeroDuration());
    for (const RecordData& record : response->records) CheckRecord(record, type);
    CheckName(response->name);
  }
}

std::string Name(hikyaku::fuzz::Input& input) {
  std::string name;
  for (int labels = 1 + input.Byte() % 3; labels > 0; --labels) {
    for (int length = 1 + input.Byte() % 12; length > 0; --length)
      name.push_back("abcdefghijklmnop-_0123456789"[input.Byte() % 28]);
    name += ".";
  }
  return name + "test";
}

// Some records of the asked name among others, behind up to three aliases.
void BuildAndRead(hikyaku::fuzz::Input input) {
  std::string owner = Name(input);
  const std::string asked = owner;
  MessageBuilder builder(asked, RecordType::kMx);
  if (input.Flag()) builder.Authenticated();
  for (int aliases = input.Byte() % 4; aliases > 0; --aliases) {
    const std::string target = "alias" + std::to_string(aliases) + "." + Name(input);
    builder.Name(owner, input.Number(4) & 0x7FFFFFFF, RecordType::kCname, target);
    owner = target;
  }
  std::vector<RecordData> expected;
  absl::Duration least = absl::InfiniteDuration();
  for (int records = input.Byte() % 16; records > 0; --records) {
    const bool ours = input.Flag();
    const std::uint32_t ttl = input.Number(4) & 0x7FFFFFFF;
    RecordData data;
    data.preference = static_cast<std::uint16_t>(input.Number(2));
    data.text = Name(input);
    builder.Mx(ours ? owner : "other." + owner, ttl, data.preference, data.text);
    if (ours) least = std::min(least, absl::Seconds(ttl));
    if (ours) expected.push_back(data);
  }
  const auto response = ParseResponse(builder.Build(), asked, RecordType::kMx);
  HIKYAKU_CHECK(response.ok() && response->records == expected);
  HIKYAKU_CHECK(expected.empty() || response->ttl <= least);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  ReadAnything(text);
  BuildAndRead(hikyaku::fuzz::Input(data, size));
  if (const auto name = NormaliseName(text); name.ok()) {
    CheckName(*name);
    const auto again = NormaliseName(*name);
    HIKYAKU_CHECK(again.ok() && *again == *name);
  }
  return 0;
}
