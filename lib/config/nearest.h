// "Did you mean …?": the nearest of some words to a misspelt one.
#ifndef HIKYAKU_LIB_CONFIG_NEAREST_H_
#define HIKYAKU_LIB_CONFIG_NEAREST_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace hikyaku::config {

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t EditDistance(absl::string_view a, absl::string_view b);

// The word with the least distance, if that is at most a third of its length (and at least 1 is allowed); else empty.
std::string Nearest(absl::string_view word, const std::vector<std::string>& words);

// "did you mean X?", or "write one of A, B, C" where none is near.
std::string Suggest(absl::string_view word, const std::vector<std::string>& words);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_NEAREST_H_
