// Policies keep their bounds and read the same again; records give an id or nothing; the answer of a policy host is
// read alike in whatever pieces it comes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/check.h"
#include "lib/https/response_reader.h"
#include "lib/mta_sts/policy.h"

namespace {

using namespace hikyaku::mta_sts;  // NOLINT(google-build-using-namespace): the file is about nothing else.

void CheckPolicy(absl::string_view text) {
  const auto policy = ParsePolicy(text);
  if (!policy.ok()) {
    HIKYAKU_CHECK(absl::StartsWith(policy.status().message(), "the MTA-STS policy "));
    return;
  }
  HIKYAKU_CHECK(policy->mx.size() <= Policy::kMaxHosts);
  HIKYAKU_CHECK(!policy->mx.empty() || policy->mode == Mode::kNone);
  HIKYAKU_CHECK(policy->max_age >= absl::ZeroDuration() && policy->max_age <= absl::Seconds(31'557'600));
  const auto again = ParsePolicy(absl::StrJoin(policy->Lines(), "\r\n"));
  HIKYAKU_CHECK(again.ok() && *again == *policy);
  for (absl::string_view pattern : policy->mx) {
    const bool wild = absl::ConsumePrefix(&pattern, "*.");
    HIKYAKU_CHECK(!pattern.empty() && !absl::StrContains(pattern, "*"));
    HIKYAKU_CHECK(policy->Lists(wild ? absl::StrCat("x.", pattern) : std::string(pattern)));
  }
  HIKYAKU_CHECK(!policy->Lists("") && !policy->Lists("."));
}

void CheckRecord(absl::string_view text) {
  const std::vector<std::string> records = absl::StrSplit(text, '\n');
  const auto id = RecordId(records);
  if (!id) return;
  HIKYAKU_CHECK(!id->empty() && id->size() <= 32);
  HIKYAKU_CHECK(RecordId({absl::StrCat("v=STSv1; id=", *id)}) == id);
}

absl::Status JudgeHead(int status, absl::string_view type) {
  const bool good = status == 200 && absl::StartsWithIgnoreCase(type, "text/plain");
  return good ? absl::OkStatus() : absl::InvalidArgumentError("not this one");
}

// The body, or why there is none.
std::string Read(absl::string_view bytes, std::size_t step) {
  hikyaku::https::ResponseReader reader({JudgeHead, Policy::kMaxSize});
  while (!bytes.empty()) {
    const auto done = reader.Take(bytes.substr(0, step));
    if (!done.ok()) return absl::StrCat("!", done.status().message());
    if (*done) return reader.body();
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  const auto ended = reader.End();
  return ended.ok() ? reader.body() : absl::StrCat("!", ended.message());
}

void CheckResponse(absl::string_view bytes) {
  const std::string whole = Read(bytes, bytes.size() + 1);
  HIKYAKU_CHECK(whole.size() <= Policy::kMaxSize);
  const std::string dribbled = Read(bytes, 1);
  // Whether it is refused does not depend on the pieces; which of two faults is named first may.
  HIKYAKU_CHECK(absl::StartsWith(whole, "!") ? absl::StartsWith(dribbled, "!") : dribbled == whole);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckPolicy(text);
  CheckRecord(text);
  CheckResponse(text);
  return 0;
}
