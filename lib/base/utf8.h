// UTF-8, checked: what a peer or a client sends must be shown to be text before it becomes a protobuf string or an
// address.
//
// Source:     RFC 3629 §3 and §4 (no overlong forms, no surrogates, nothing above U+10FFFF).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_BASE_UTF8_H_
#define HIKYAKU_LIB_BASE_UTF8_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"

namespace hikyaku {

// Takes one character from the front of `text`. At a byte that begins none, nothing is returned and one byte is taken,
// so that a loop always ends. `text` must not be empty.
std::optional<char32_t> TakeUtf8(absl::string_view& text);

bool IsValidUtf8(absl::string_view text);

// At most the first `limit` bytes of `text`, which is valid, cut between two characters: a protobuf string that ends in
// half of one cannot be read again.
absl::string_view CutUtf8(absl::string_view text, std::size_t limit);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_UTF8_H_
