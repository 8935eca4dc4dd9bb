// The id of a message: 16 bytes, 48 bits of milliseconds and 80 random bits (the layout of a ULID), so that ids
// sort by time of acceptance and cannot be guessed or collide between front-ends.
//
// Shapes: `bytes` (16, at rest and inside) and `text` (26 characters of Crockford's base32, lower case, for people).
// Threading: plain values.
#ifndef HIKYAKU_LIB_BASE_MESSAGE_ID_H_
#define HIKYAKU_LIB_BASE_MESSAGE_ID_H_

#include <array>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku {

class MessageId {
 public:
  static constexpr std::size_t kBytes = 16;
  static constexpr std::size_t kTextLength = 26;

  MessageId() : bytes_{} {}

  // A new id; `now` gives its time part.
  static MessageId Generate(absl::Time now);

  // The smallest id of the given time: where a scan by time begins.
  static MessageId FirstAt(absl::Time time);

  // From the 16 bytes of `bytes`; nothing for another length.
  static std::optional<MessageId> FromBytes(absl::string_view bytes);

  // From 26 characters in either case; nothing for anything else.
  static std::optional<MessageId> FromText(absl::string_view text);

  // Lives as long as this value.
  absl::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  std::string text() const;
  absl::Time time() const;

  auto operator<=>(const MessageId&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const MessageId& id) {
    return H::combine(std::move(h), id.bytes_);
  }

 private:
  std::array<unsigned char, kBytes> bytes_;  // Unsigned: ids compare as their bytes sort at rest.
};

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_MESSAGE_ID_H_
