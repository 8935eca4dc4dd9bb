#include "lib/delivery/tls_policy.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace hikyaku::delivery {

TlsPolicy ChooseTls(const TlsSettings& settings, const NextHop& hop) {
  TlsPolicy policy;
  policy.rule = "delivery.tls";
  policy.demand.level = settings.level;
  if (absl::StartsWith(hop.host, "unix:")) policy.demand.level = TlsLevel::kNone;  // It does not leave the machine.
  const bool own_word = hop.rule != nullptr && hop.rule->tls.has_value();
  if (hop.routed && !own_word && policy.demand.level == TlsLevel::kDane) policy.demand.level = TlsLevel::kOpportunistic;
  if (hop.rule == nullptr) return policy;
  const RouteRule& row = *hop.rule;
  if (row.tls || row.tls_implicit) policy.rule = row.text;
  if (row.tls) policy.demand.level = *row.tls;
  policy.demand.implicit = row.tls_implicit;
  if (row.tls_implicit) policy.demand.level = std::max(policy.demand.level, TlsLevel::kRequire);
  return policy;
}

}  // namespace hikyaku::delivery
