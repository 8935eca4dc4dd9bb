// A fuzzer's bytes, taken from the front as what a target needs; where they end, zeros and empty texts follow.
#ifndef HIKYAKU_TESTS_FUZZ_INPUT_H_
#define HIKYAKU_TESTS_FUZZ_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  absl::string_view rest() const { return rest_; }

  absl::string_view Bytes(std::size_t count) {
    const absl::string_view bytes = rest_.substr(0, count);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }

  std::uint8_t Byte() { return empty() ? 0 : static_cast<std::uint8_t>(Bytes(1)[0]); }
  bool Flag() { return (Byte() & 1) != 0; }

  std::uint64_t Number(int bytes = 8) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value = value << 8 | Byte();
    return value;
  }

  // A length, then so many bytes.
  std::string Text(std::size_t longest = 255) {
    const std::size_t wanted = longest > 255 ? Number(2) : Byte();
    return std::string(Bytes(std::min(wanted, longest)));
  }

 private:
  absl::string_view rest_;
};

}  // namespace hikyaku::fuzz

#endif  // HIKYAKU_TESTS_FUZZ_INPUT_H_
