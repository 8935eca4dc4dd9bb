#include "lib/delivery/host_tls.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace hikyaku::delivery {

std::string HostPolicy::Text() const { return absl::StrCat(level, " by ", rule); }

HostTls::HostTls(HostTlsEnv env, std::string domain, const NextHop& hop)
    : env_(std::move(env)), domain_(std::move(domain)), hop_(hop), configured_(ChooseTls(env_.settings, hop)) {}

awaitable<absl::Status> HostTls::Prepare() { co_return co_await PrepareSts(); }

awaitable<absl::StatusOr<HostPolicy>> HostTls::For(const PlannedHost& host) {
  HostPolicy policy = Configured();
  if (configured_.demand.level >= TlsLevel::kDane) {
    auto decision = co_await AskDane(host);
    if (!decision.ok()) co_return decision.status();
    ApplyDane(*std::move(decision), host, &policy);
  }
  // Where DANE says what proves the host, or that it must not be used, MTA-STS has no say (RFC 8461 §2).
  if (!policy.demand.dane && !policy.trouble) ApplySts(host, &policy);
  co_return policy;
}

HostPolicy HostTls::Configured() const {
  HostPolicy policy;
  policy.demand = configured_.demand;
  policy.level = std::string(TlsLevelName(configured_.demand.level));
  policy.rule = configured_.rule;
  policy.report.domain = domain_;
  return policy;
}

}  // namespace hikyaku::delivery
