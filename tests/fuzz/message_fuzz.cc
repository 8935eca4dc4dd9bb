// What is submitted: the header parser, the completion of RFC 6409 and the conversion for peers without 8BITMIME.
#include <cstdint>
#include <string>

#include "lib/base/check.h"
#include "lib/mime/downgrade.h"
#include "lib/mime/header.h"
#include "lib/mime/submitted.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  (void)hikyaku::mime::HeaderFields::Parse(text);
  if (const auto plain = hikyaku::mime::Downgrade8Bit(text); plain.ok()) {
    for (char c : *plain) HIKYAKU_CHECK(static_cast<unsigned char>(c) < 0x80);
  }
  (void)hikyaku::mime::PrepareSubmitted(std::string(text), {});
  return 0;
}
