// What the domain's MTA-STS policy adds (RFC 8461 §4, §5). It never weakens what the configuration asks for, and never
// speaks of a next hop of the operator's.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/delivery/host_tls.h"
#include "lib/delivery/verdict.h"

namespace hikyaku::delivery {
namespace {

// The mail goes to the domain's own MX hosts, and by TLS where they have it.
bool MayAsk(const StsDoor& door, const TlsSettings& settings, const NextHop& hop, TlsLevel level) {
  return door.policies != nullptr && settings.mta_sts && settings.context != nullptr && level != TlsLevel::kNone &&
         hop.kind == NextHop::Kind::kSmtp && hop.mx_lookup && !hop.routed && !hop.literal;
}

}  // namespace

awaitable<absl::Status> HostTls::PrepareSts() {
  if (!MayAsk(env_.sts, env_.settings, hop_, configured_.demand.level)) co_return absl::OkStatus();
  const absl::Time start = env_.clock.Now();
  mta_sts::Web web{env_.resolver, env_.sts.dialer, env_.settings.context};
  auto found = co_await env_.sts.policies->Find(std::move(web), domain_, env_.sts.shard);
  env_.budget.Spend(env_.clock.Now() - start);
  if (!found.ok()) co_return found.status();
  sts_ = *std::move(found);
  co_return absl::OkStatus();
}

// The demand is `verify` as the configuration can ask for it, so a connection that proved the host under either serves
// the other: both proved the same. Without the policy's demand it is another one, with a connection of its own.
void HostTls::ApplySts(const PlannedHost& host, HostPolicy* policy) const {
  if (!sts_ || sts_->kept == nullptr || sts_->kept->policy.mode == mta_sts::Mode::kNone) return;
  const mta_sts::Policy& wanted = sts_->kept->policy;
  policy->report = {"sts", domain_, wanted.Lines()};
  if (wanted.mode != mta_sts::Mode::kEnforce) return;
  policy->listed = wanted.Lists(host.name);
  if (!policy->listed) policy->trouble = JudgeNotInSts(host.name, domain_);
  if (policy->demand.level >= TlsLevel::kVerify) return;
  policy->demand.level = TlsLevel::kVerify;
  policy->level = std::string(TlsLevelName(TlsLevel::kVerify));
  policy->rule = absl::StrCat("MTA-STS of ", domain_);
}

}  // namespace hikyaku::delivery
