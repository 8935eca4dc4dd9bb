// Transfer encodings lose nothing, write only what every host passes on, and read only what is well formed.
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/mime/encoding.h"
#include "lib/mime/text.h"
#include "tests/fuzz/oracle.h"

namespace {

using namespace hikyaku::mime;  // NOLINT(google-build-using-namespace): the file is about nothing else.

void CheckWire(const std::string& wire) {
  HIKYAKU_CHECK(IsAscii(wire) && !hikyaku::fuzz::HasBareLineEnd(wire));
  HIKYAKU_CHECK(hikyaku::fuzz::LongestLine(wire) <= 76);
}

// RFC 2045 §6.7 (3): blanks at the end of a line are not kept by a reader, and so never written as they are.
void CheckQuotedPrintable(absl::string_view text) {
  std::string wire;
  AppendQuotedPrintable(text, &wire);
  CheckWire(wire);
  HIKYAKU_CHECK(wire.find(" \r\n") == std::string::npos && wire.find("\t\r\n") == std::string::npos);
  HIKYAKU_CHECK(wire.find("\r\n.") == std::string::npos && wire.find("\r\nFrom ") == std::string::npos);
  const auto again = DecodeQuotedPrintable(wire);
  HIKYAKU_CHECK(again.ok() && *again == text);
}

void CheckBase64(absl::string_view text) {
  std::string wire;
  AppendBase64(text, &wire);
  CheckWire(wire);
  HIKYAKU_CHECK(wire.size() == Base64Size(text.size()));
  const auto again = DecodeBase64(wire);
  HIKYAKU_CHECK(again.ok() && *again == text);
}

void Decode(absl::string_view text) {
  if (const auto bytes = DecodeBase64(text); bytes.ok()) {
    HIKYAKU_CHECK(bytes->size() <= text.size());
    CheckBase64(*bytes);
  }
  if (const auto bytes = DecodeQuotedPrintable(text); bytes.ok()) HIKYAKU_CHECK(bytes->size() <= text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  CheckQuotedPrintable(text);
  CheckBase64(text);
  Decode(text);
  const std::string lines = NormalizeNewlines(text);
  HIKYAKU_CHECK(!hikyaku::fuzz::HasBareLineEnd(lines) && NormalizeNewlines(lines) == lines);
  if (ChooseEncoding(lines) == Encoding::k7Bit) {
    HIKYAKU_CHECK(IsAscii(lines) && hikyaku::fuzz::LongestLine(lines) <= 78);
  }
  return 0;
}
