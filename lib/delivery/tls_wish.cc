#include "lib/delivery/tls_wish.h"

#include "absl/strings/match.h"
#include "lib/delivery/verdict.h"

namespace hikyaku::delivery {
namespace {

constexpr char kRule[] = "require_tls of the mail";
constexpr char kWaivedRule[] = "TLS-Required: No of the mail";

}  // namespace

TlsWish WishOf(const storage::v1::Envelope& envelope, const NextHop& hop) {
  if (!hop.remote() || absl::StartsWith(hop.host, "unix:")) return TlsWish::kNone;
  if (envelope.require_tls()) return envelope.sender().empty() ? TlsWish::kWhereOffered : TlsWish::kRequired;
  return envelope.tls_optional() ? TlsWish::kWaived : TlsWish::kNone;
}

HostPolicy WaivedPolicy(const TlsSettings& settings, const NextHop& hop) {
  const TlsPolicy configured = ChooseTls(settings, hop);
  HostPolicy policy;
  policy.demand = configured.demand;
  if (policy.demand.level > TlsLevel::kVerify) {  // What DNS would say.
    policy.demand.level = policy.demand.implicit ? TlsLevel::kRequire : TlsLevel::kOpportunistic;
  }
  policy.level = std::string(TlsLevelName(policy.demand.level));
  policy.rule = policy.demand.level == TlsLevel::kOpportunistic ? kWaivedRule : configured.rule;
  return policy;
}

bool HasCertainName(const PlannedHost& host, const NextHop& hop, const HostPolicy& policy) {
  return !hop.mx_lookup || host.name == hop.host || host.name_proved || policy.listed;
}

void RequireProof(const PlannedHost& host, const NextHop& hop, HostPolicy* policy) {
  if (policy->trouble) return;
  if (!HasCertainName(host, hop, *policy)) {
    policy->trouble = JudgeUncertainName(host.name);
  } else if (policy->demand.level < TlsLevel::kVerify) {
    policy->demand.level = TlsLevel::kVerify;
    policy->level = std::string(TlsLevelName(TlsLevel::kVerify));
    policy->rule = kRule;
  }
}

}  // namespace hikyaku::delivery
