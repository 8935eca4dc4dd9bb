#include "lib/delivery/plan.h"

#include <algorithm>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/delivery/verdict.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::delivery {
namespace {

void CountDnsFailure(absl::StatusCode code) {
  static const std::string name = "hikyaku_delivery_dns_failures_total";
  static const std::string help = "DNS look-ups of attempts that gave no host or address, by reason.";
  static metrics::Counter& missing = metrics::DeclareCounter(name, help, {{"reason", "no_such_name"}});
  static metrics::Counter& null_mx = metrics::DeclareCounter(name, help, {{"reason", "null_mx"}});
  static metrics::Counter& failed = metrics::DeclareCounter(name, help, {{"reason", "failed"}});
  if (code == absl::StatusCode::kNotFound || code == absl::StatusCode::kInvalidArgument) {
    missing.Increment();
  } else if (code == absl::StatusCode::kFailedPrecondition) {
    null_mx.Increment();
  } else {
    failed.Increment();
  }
}

}  // namespace

Plan::Plan(PlanEnv env, std::string domain, NextHop hop)
    : env_(env), domain_(std::move(domain)), hop_(std::move(hop)), mx_(env.resolver) {}

awaitable<absl::StatusOr<std::optional<PlannedHost>>> Plan::Next() {
  if (!std::exchange(started_, true)) {
    if (hop_.mx_lookup) {
      CO_RETURN_IF_ERROR(co_await LookUpMx());
    } else {
      hosts_.emplace_back().name = hop_.host;
      hosts_proved_ = true;
    }
  }
  while (next_in_group_ == group_.size()) {
    if (ended_ || next_host_ == hosts_.size() || env_.budget.exhausted()) co_return std::nullopt;
    CO_RETURN_IF_ERROR(co_await LoadGroup());
  }
  PlannedHost host = std::move(group_[next_in_group_++]);
  last_given_ = host.name;
  co_return host;
}

awaitable<absl::Status> Plan::LookUpMx() {
  const absl::Time start = env_.clock.Now();
  auto answer = co_await mx_.Resolve(hop_.host, std::min(kLookupLimit, env_.budget.left()));
  env_.budget.Spend(env_.clock.Now() - start);
  if (answer.ok()) {
    hosts_ = std::move(answer->hosts);
    hosts_proved_ = answer->authenticated;
    if (hosts_proved_) next_hop_alias_ = std::move(answer->alias_of);
    co_return absl::OkStatus();
  }
  if (absl::IsCancelled(answer.status())) co_return answer.status();
  CountDnsFailure(answer.status().code());
  Trouble(JudgeMxLookup(answer.status(), hop_.host));
  co_return absl::OkStatus();
}

// Resolves all hosts of the next preference.
awaitable<absl::Status> Plan::LoadGroup() {
  group_.clear();
  next_in_group_ = 0;
  const std::uint16_t preference = hosts_[next_host_].preference;
  for (; next_host_ < hosts_.size() && hosts_[next_host_].preference == preference; ++next_host_) {
    const dns::MxHost& host = hosts_[next_host_];
    auto addresses = co_await Addresses(host);
    if (absl::IsCancelled(addresses.status())) co_return addresses.status();
    if (IsOwn(host, addresses.ok() ? addresses->addresses : std::vector<address::IpAddress>())) {
      last_given_ = host.name;
      MetOurselves();
      co_return absl::OkStatus();
    }
    if (addresses.ok()) {
      AddHost(host, *std::move(addresses));
    } else {
      CountDnsFailure(addresses.status().code());
      Trouble(JudgeHostLookup(addresses.status(), host.name));
    }
  }
  co_return absl::OkStatus();
}

awaitable<absl::StatusOr<dns::HostAnswer>> Plan::Addresses(dns::MxHost host) {
  if (hop_.literal) {
    dns::HostAnswer literal;
    literal.addresses.push_back(*hop_.literal);
    co_return literal;
  }
  const absl::Time start = env_.clock.Now();
  auto addresses = co_await mx_.ResolveHost(host.name, std::min(kLookupLimit, env_.budget.left()));
  env_.budget.Spend(env_.clock.Now() - start);
  co_return addresses;
}

void Plan::AddHost(const dns::MxHost& host, dns::HostAnswer answer) {
  PlannedHost planned;
  planned.name = host.name;
  planned.name_proved = hosts_proved_;
  planned.addresses_proved = answer.authenticated;
  planned.alias_of = std::move(answer.alias_of);
  planned.next_hop_alias = next_hop_alias_;
  planned.named_by_operator = hop_.routed && hop_.literal;
  absl::Status refusal;
  for (const address::IpAddress& address : answer.addresses) {
    const absl::Status allowed = planned.named_by_operator ? absl::OkStatus() : env_.guard.Check(address);
    if (allowed.ok()) {
      planned.endpoints.push_back({address, hop_.port});
    } else {
      refusal = allowed;
    }
  }
  if (!planned.endpoints.empty()) {
    group_.push_back(std::move(planned));
  } else if (!other_trouble_) {
    // Permanent only while nothing else is wrong: a host that cannot be looked up now may have a good address.
    trouble_ = JudgeProhibited(refusal, domain_);
    if (hop_.routed) trouble_ = BlameRoute(*trouble_);
  }
}

bool Plan::IsOwn(const dns::MxHost& host, const std::vector<address::IpAddress>& addresses) const {
  if (hop_.mx_lookup && !env_.own.name.empty() && host.name == env_.own.name) return true;
  return std::any_of(addresses.begin(), addresses.end(), [&](const address::IpAddress& address) {
    const net::Endpoint endpoint{address.Unmapped(), hop_.port};
    return std::find(env_.own.endpoints.begin(), env_.own.endpoints.end(), endpoint) != env_.own.endpoints.end();
  });
}

void Plan::MetOurselves() {
  ended_ = true;
  group_.clear();
  next_in_group_ = 0;
  // Only where nothing better was there (RFC 5321 §5.1): a better host that failed makes the mail wait.
  if (!trouble_) Trouble(JudgeLoop(domain_, last_given_));
}

void Plan::Trouble(outcome::Outcome outcome) {
  other_trouble_ = true;
  trouble_ = hop_.routed ? BlameRoute(outcome) : std::move(outcome);
}

}  // namespace hikyaku::delivery
