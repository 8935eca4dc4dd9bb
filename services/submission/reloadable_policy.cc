#include "services/submission/reloadable_policy.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/address/literal.h"
#include "lib/base/status_macros.h"

namespace hikyaku::submission {

std::optional<std::string> ReloadablePolicy::Refuse(const address::Address& recipient) const {
  std::shared_ptr<const Rules> rules;
  {
    absl::MutexLock lock(&mutex_);
    rules = rules_;
  }
  if (auto refusal = rules->literals.Refuse(recipient)) return refusal;
  return rules->routes.CertainRefusal(recipient.domain);
}

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
  std::vector<delivery::RouteRow> rows;
  for (const v1::Route& route : config.delivery().routes()) {
    // A row without a target says only how mail is delivered, which is not asked for here.
    rows.push_back({route.domain(), route.to().empty() ? "smtp:" : route.to(), route.sender_domain(), route.tenant(),
                    route.stream(), route.sources()});
    if (!absl::StartsWith(route.domain(), "[")) continue;
    if (const auto literal = address::ParseAddressLiteral(route.domain()); literal.ok()) {
      routed.push_back(literal->ToLiteral());
    }
  }
  ASSIGN_OR_RETURN(auto routes,
                   delivery::RouteTable::Create(rows, static_cast<std::uint16_t>(config.delivery().port())));
  auto rules =
      std::make_shared<const Rules>(Rules{LiteralPolicy(std::move(allowed), std::move(routed)), std::move(routes)});
  absl::MutexLock lock(&mutex_);
  rules_ = std::move(rules);
  return absl::OkStatus();
}

}  // namespace hikyaku::submission
