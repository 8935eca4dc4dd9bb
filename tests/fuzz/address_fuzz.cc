// Whatever is read as an address reads back as the same one, and holds nothing that could break a command line.
#include <cstdint>

#include "lib/address/address.h"
#include "lib/address/mailbox.h"
#include "lib/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hikyaku::address;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto address = ParseAddress(text); address.ok()) {
    const std::string written = address->ToString();
    HIKYAKU_CHECK(written.find_first_of(absl::string_view("\r\n\0", 3).data(), 0, 3) == std::string::npos);
    const auto again = ParseAddress(written);
    HIKYAKU_CHECK(again.ok() && again->ToString() == written);
  }
  (void)ParsePath(text, {.allow_null = true, .allow_postmaster = true});
  (void)ParseMailboxList(text);
  return 0;
}
