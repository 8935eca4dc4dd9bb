#include "lib/config/source_map.h"

#include "absl/strings/str_cat.h"

namespace hikyaku::config {

absl::Status SourceMap::Error(absl::string_view path, absl::string_view what) const {
  std::string message = file_;
  for (absl::string_view around = path; !around.empty();) {
    if (const auto found = lines_.find(std::string(around)); found != lines_.end()) {
      absl::StrAppend(&message, ":", found->second);
      break;
    }
    const std::size_t cut = around.find_last_of(".[");
    around = around.substr(0, cut == absl::string_view::npos ? 0 : cut);
  }
  if (!path.empty()) absl::StrAppend(&message, ": ", path);
  return absl::InvalidArgumentError(absl::StrCat(message, ": ", what));
}

}  // namespace hikyaku::config
