#include "lib/delivery/broken_tls.h"

namespace hikyaku::delivery {
namespace {

// What is older makes room for others.
constexpr absl::Duration kOld = absl::Hours(1);

}  // namespace

std::optional<absl::Time> BrokenTls::Since(const std::string& host, absl::Duration memory) {
  if (hosts_.empty()) return std::nullopt;
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return std::nullopt;
  if (clock_.Now() - found->second.last <= memory) return found->second.first;
  hosts_.erase(found);
  return std::nullopt;
}

void BrokenTls::Failed(const std::string& host) {
  const absl::Time now = clock_.Now();
  if (hosts_.size() >= kMostHosts) {
    absl::erase_if(hosts_, [&](const auto& entry) { return now - entry.second.last > kOld; });
  }
  if (hosts_.size() >= kMostHosts) hosts_.clear();
  hosts_.try_emplace(host, Host{now, now}).first->second.last = now;
}

}  // namespace hikyaku::delivery
