#include "services/hikyaku/dkim/key_check.h"

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "lib/delivery/dkim_keys.h"
#include "services/delivery/settings.h"

namespace hikyaku::cli {

absl::Status CheckDkimKeys(const v1::Config& config, config::Role role, const config::SourceMap& source) {
  if (!config::HasDelivery(role) || !config.has_dkim()) return absl::OkStatus();
  const delivery::DkimOptions options = delivery::DkimOptionsFrom(config);
  const auto keys = delivery::DkimKeys::Load(options, nullptr);
  std::map<std::string, std::shared_ptr<const delivery::DkimKey>> by_path;
  for (const auto& key : keys->all()) by_path.emplace(key->path, key);
  for (std::size_t i = 0; i < options.rows.size(); ++i) {
    const delivery::DkimRow& row = options.rows[i];
    for (std::size_t j = 0; j < row.selectors.size(); ++j) {
      const std::string file = delivery::DkimFileName(row.selectors[j], row.domain);
      const auto& key = by_path.at(absl::StrCat(options.folder, "/", file));
      if (key->file.ok()) continue;
      return source.Error(
          absl::StrCat("dkim.domains[", i, "].selectors[", j, "]"),
          absl::StrCat(key->path, " ", key->file.message(),
                       ": put the key there, or make one with `hikyaku "
                       "dkim keygen ",
                       row.domain, " --selector ", row.selectors[j], " --folder ", options.folder, "`"));
    }
  }
  return absl::OkStatus();
}

}  // namespace hikyaku::cli
