#include "lib/delivery/host_tls.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace hikyaku::delivery {

std::string HostPolicy::Text() const { return absl::StrCat(level, " by ", rule); }

HostTls::HostTls(HostTlsEnv env, std::string domain, const NextHop& hop)
    : env_(env), domain_(std::move(domain)), configured_(ChooseTls(env.settings, hop)) {}

awaitable<absl::Status> HostTls::Prepare() { co_return absl::OkStatus(); }

awaitable<absl::StatusOr<HostPolicy>> HostTls::For(const PlannedHost&) {
  HostPolicy policy;
  policy.demand = configured_.demand;
  policy.level = std::string(TlsLevelName(configured_.demand.level));
  policy.rule = configured_.rule;
  policy.report.domain = domain_;
  co_return policy;
}

}  // namespace hikyaku::delivery
