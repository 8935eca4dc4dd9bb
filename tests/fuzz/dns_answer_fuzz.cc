// A DNS server's answer, whatever it holds.
#include <cstdint>

#include "lib/dns/dns_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hikyaku::dns;
  const absl::string_view message(reinterpret_cast<const char*>(data), size);
  for (RecordType type : {RecordType::kMx, RecordType::kA, RecordType::kTxt})
    (void)ParseResponse(message, "a.test", type);
  return 0;
}
