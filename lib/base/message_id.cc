#include "lib/base/message_id.h"

#include <algorithm>
#include <cstdint>

#include "lib/base/random.h"

namespace hikyaku {
namespace {

constexpr absl::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";  // No i, l, o, u: they are misread.
constexpr int kTimeBytes = 6;

// 0..31, or -1.
int DigitValue(char c) {
  if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const auto at = kAlphabet.find(c);
  return at == absl::string_view::npos ? -1 : static_cast<int>(at);
}

void PutTime(absl::Time time, unsigned char* out) {
  const auto millis = static_cast<std::uint64_t>(std::max<std::int64_t>(absl::ToUnixMillis(time), 0));
  for (int i = 0; i < kTimeBytes; ++i) out[i] = static_cast<unsigned char>(millis >> (8 * (kTimeBytes - 1 - i)));
}

}  // namespace

MessageId MessageId::Generate(absl::Time now) {
  MessageId id;
  PutTime(now, id.bytes_.data());
  RandomBytes(id.bytes_.data() + kTimeBytes, kBytes - kTimeBytes);
  return id;
}

MessageId MessageId::FirstAt(absl::Time time) {
  MessageId id;
  PutTime(time, id.bytes_.data());
  return id;
}

std::optional<MessageId> MessageId::FromBytes(absl::string_view bytes) {
  if (bytes.size() != kBytes) return std::nullopt;
  MessageId id;
  std::copy(bytes.begin(), bytes.end(), id.bytes_.begin());
  return id;
}

std::optional<MessageId> MessageId::FromText(absl::string_view text) {
  // 26 digits hold 130 bits; the first one may use only its low 3, else the value would not fit in 128.
  if (text.size() != kTextLength || DigitValue(text[0]) > 7) return std::nullopt;
  unsigned __int128 value = 0;
  for (char c : text) {
    const int digit = DigitValue(c);
    if (digit < 0) return std::nullopt;
    value = value << 5 | static_cast<unsigned>(digit);
  }
  MessageId id;
  for (std::size_t i = 0; i < kBytes; ++i) id.bytes_[i] = static_cast<unsigned char>(value >> (8 * (kBytes - 1 - i)));
  return id;
}

std::string MessageId::text() const {
  unsigned __int128 value = 0;
  for (unsigned char byte : bytes_) value = value << 8 | byte;
  std::string out(kTextLength, '0');
  for (std::size_t i = kTextLength; i-- > 0; value >>= 5) out[i] = kAlphabet[static_cast<std::size_t>(value & 31)];
  return out;
}

absl::Time MessageId::time() const {
  std::int64_t millis = 0;
  for (int i = 0; i < kTimeBytes; ++i) millis = millis << 8 | bytes_[i];
  return absl::FromUnixMillis(millis);
}

}  // namespace hikyaku
