// What the host's TLSA records ask for (dane.h), where the configuration leaves it to them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/delivery/host_tls.h"
#include "lib/delivery/verdict.h"

namespace hikyaku::delivery {

awaitable<absl::StatusOr<DaneDecision>> HostTls::AskDane(const PlannedHost& host) {
  DaneHost asked;
  asked.name = host.name;
  asked.alias_of = host.alias_of;
  asked.port = host.endpoints.front().port;
  asked.literal = hop_.literal.has_value();
  asked.name_proved = host.name_proved;
  asked.addresses_proved = host.addresses_proved;
  const absl::Time start = env_.clock.Now();
  const absl::Duration limit = std::min(Plan::kLookupLimit, env_.budget.left());
  auto decision = co_await LookUpDane(env_.resolver, std::move(asked), limit);
  env_.budget.Spend(env_.clock.Now() - start);
  co_return decision;
}

// `policy` is what is configured, kDane or kDaneOnly.
void HostTls::ApplyDane(DaneDecision decision, const PlannedHost& host, HostPolicy* policy) const {
  const bool only = configured_.demand.level == TlsLevel::kDaneOnly;
  const bool proves = decision.result == DaneResult::kOk;
  if (!proves) CountDane(decision.result);  // kOk is counted when the host fits.
  if (decision.result == DaneResult::kTempFail || (only && !proves)) {
    policy->trouble = JudgeTlsUnmet(policy->Text(), decision.why, host.name);
    const bool failed = decision.result == DaneResult::kTempFail;
    policy->report = {"tlsa", host.name, {}, failed ? "dnssec-invalid" : "dane-required"};
    return;
  }
  TlsDemand& demand = policy->demand;
  if (proves) {
    policy->level = "dane";
    policy->rule = absl::StrCat("TLSA of ", decision.base);
    policy->report = {"tlsa", decision.base, {}};
    for (const tls::TlsaRecord& record : decision.records) policy->report.strings.push_back(tls::TlsaText(record));
    demand.level = TlsLevel::kVerify;
    demand.dane = tls::DaneDemand{std::move(decision.base), {}, std::move(decision.records)};
    // RFC 7672 §3.2.2: the domain itself vouches for its hosts, where its MX records are proved.
    if (hop_.mx_lookup) demand.dane->other_names.push_back(hop_.host);
    if (!host.next_hop_alias.empty()) demand.dane->other_names.push_back(host.next_hop_alias);
    return;
  }
  const bool unusable = decision.result == DaneResult::kUnusable;
  demand.no_login = unusable;
  if (unusable) policy->report = {"tlsa", decision.base, {}, "tlsa-invalid"};
  demand.level = unusable || demand.implicit ? TlsLevel::kRequire : TlsLevel::kOpportunistic;
  policy->level = std::string(TlsLevelName(demand.level));
  absl::StrAppend(&policy->rule, " (dane: ", decision.why, ")");
}

}  // namespace hikyaku::delivery
