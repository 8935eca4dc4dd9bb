#include "lib/net/egress_guard.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/address/special_ranges.h"

namespace hikyaku::net {

EgressGuard::EgressGuard(std::vector<address::Cidr> allowed) : allowed_(std::move(allowed)) {}

absl::Status EgressGuard::Check(const address::IpAddress& to) const {
  const absl::string_view kind = address::SpecialPurposeName(to);
  if (kind.empty()) return absl::OkStatus();
  for (const address::Cidr& range : allowed_) {
    if (range.Contains(to)) return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("egress to ", to.ToString(), " is not allowed: ", kind, " (delivery.allow_ranges opens ranges)"));
}

}  // namespace hikyaku::net
