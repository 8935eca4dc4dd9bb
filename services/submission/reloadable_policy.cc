#include "services/submission/reloadable_policy.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/literal.h"

namespace hikyaku::submission {

absl::Status ReloadablePolicy::Load(const v1::Config& config) {
  std::vector<address::Cidr> allowed;
  for (const std::string& text : config.delivery().allow_ranges()) {
    const auto range = address::Cidr::Parse(text);
    if (!range.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("delivery.allow_ranges: ", range.status().message()));
    }
    allowed.push_back(*range);
  }
  std::vector<std::string> routed;
  for (const v1::Route& route : config.delivery().routes()) {
    if (!absl::StartsWith(route.domain(), "[")) continue;
    if (const auto literal = address::ParseAddressLiteral(route.domain()); literal.ok()) {
      routed.push_back(literal->ToLiteral());
    }
  }
  auto policy = std::make_shared<const LiteralPolicy>(std::move(allowed), std::move(routed));
  absl::MutexLock lock(&mutex_);
  policy_ = std::move(policy);
  return absl::OkStatus();
}

}  // namespace hikyaku::submission
