#include "lib/delivery/dead_hosts.h"

#include <algorithm>

namespace hikyaku::delivery {
namespace {

// What took less is cheap enough to find out again.
constexpr absl::Duration kDear = absl::Seconds(2);
constexpr absl::Duration kLongest = absl::Minutes(1);

constexpr std::size_t kMostHosts = 10'000;

}  // namespace

std::optional<absl::Status> DeadHosts::Ask(const net::Endpoint& endpoint) {
  const auto it = hosts_.find(Key(endpoint.address, endpoint.port));
  if (it == hosts_.end()) return std::nullopt;
  Host& host = it->second;
  const absl::Time now = clock_.Now();
  if (now < host.until && host.until - now <= kLongest) return host.why;
  host.until = now + host.took;  // For the others, while this one tries.
  return std::nullopt;
}

void DeadHosts::Failed(const net::Endpoint& endpoint, const absl::Status& why, absl::Duration took) {
  if (took < kDear || absl::IsCancelled(why)) return Answered(endpoint);
  if (hosts_.size() >= kMostHosts) MakeRoom();
  took = std::min(took, kLongest);
  hosts_[Key(endpoint.address, endpoint.port)] = {why, took, clock_.Now() + took};
}

void DeadHosts::Answered(const net::Endpoint& endpoint) {
  if (!hosts_.empty()) hosts_.erase(Key(endpoint.address, endpoint.port));
}

void DeadHosts::MakeRoom() {
  const absl::Time now = clock_.Now();
  absl::erase_if(hosts_, [&](const auto& host) { return host.second.until <= now; });
  if (hosts_.size() >= kMostHosts) hosts_.clear();
}

}  // namespace hikyaku::delivery
