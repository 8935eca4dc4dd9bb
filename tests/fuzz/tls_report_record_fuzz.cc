// A record that asks for reports on TLS is bounded, and what it names can be mailed to or is passed over.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "lib/base/check.h"
#include "lib/tls_report/record.h"

namespace {

using namespace hikyaku;  // NOLINT(google-build-using-namespace): the file is short.

void CheckUri(const std::string& uri) {
  for (const char c : uri) HIKYAKU_CHECK(c > 0x20 && c < 0x7f && c != ',' && c != ';');
  const auto address = tls_report::MailtoAddress(uri);
  if (!address) return;
  HIKYAKU_CHECK(!address->literal && !address->NeedsSmtpUtf8() && !address->domain.empty());
  const auto again = address::ParseAddress(address->ToString());
  HIKYAKU_CHECK(again.ok() && *again == *address);
}

}  // namespace

// One TXT record a line.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> texts = absl::StrSplit(text, '\n');
  const auto uris = tls_report::ParseRecord(texts);
  if (!uris) return 0;
  HIKYAKU_CHECK(!uris->empty() && uris->size() <= tls_report::kMaxAddresses);
  for (const std::string& uri : *uris) CheckUri(uri);
  return 0;
}
