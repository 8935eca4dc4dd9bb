// UTF-8, checked: what a peer or a client sends must be shown to be text before it becomes a protobuf string or an
// address.
//
// Source:     RFC 3629 §3 and §4 (no overlong forms, no surrogates, nothing above U+10FFFF).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_BASE_UTF8_H_
#define HIKYAKU_LIB_BASE_UTF8_H_

#include <optional>

#include "absl/strings/string_view.h"

namespace hikyaku {

// Takes one character from the front of `text`. At a byte that begins none, nothing is returned and one byte is taken,
// so that a loop always ends. `text` must not be empty.
std::optional<char32_t> TakeUtf8(absl::string_view& text);

bool IsValidUtf8(absl::string_view text);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_UTF8_H_
