#include "lib/dns/mx_resolver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/status_macros.h"
#include "lib/net/limit.h"

namespace hikyaku::dns {
namespace {

using address::IpAddress;

template <typename T>
void Shuffle(std::vector<T>& items) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[RandomBelow(static_cast<std::uint32_t>(i))]);
  }
}

// Best first; equals in random order (RFC 5321 §5.1: to spread the load); without null MX and repetitions.
std::vector<MxHost> OrderHosts(std::vector<MxRecord> records) {
  Shuffle(records);
  std::stable_sort(records.begin(), records.end(),
                   [](const MxRecord& a, const MxRecord& b) { return a.preference < b.preference; });
  std::vector<MxHost> hosts;
  for (MxRecord& record : records) {
    if (hosts.size() == kMaxHosts) break;
    const bool known = std::any_of(hosts.begin(), hosts.end(), [&](const MxHost& h) { return h.name == record.host; });
    if (!record.host.empty() && !known) hosts.push_back({std::move(record.host), record.preference});
  }
  return hosts;
}

// IPv6 first, then the families in turn, so that a family that does not work here costs one try in two.
std::vector<IpAddress> OrderAddresses(const std::vector<IpAddress>& addresses) {
  std::vector<IpAddress> families[2];
  for (const IpAddress& address : addresses) families[address.is_v4() ? 1 : 0].push_back(address);
  for (auto& family : families) Shuffle(family);
  std::vector<IpAddress> ordered;
  for (std::size_t i = 0; i < std::max(families[0].size(), families[1].size()); ++i) {
    for (const auto& family : families) {
      if (i < family.size() && ordered.size() < kMaxAddressesPerHost) ordered.push_back(family[i]);
    }
  }
  return ordered;
}

}  // namespace

awaitable<absl::StatusOr<MxAnswer>> MxResolver::Resolve(std::string domain, absl::Duration limit) {
  const net::TimePoint deadline = net::SteadyAfter(limit);
  CO_ASSIGN_OR_RETURN(MxAnswers found, co_await resolver_.ResolveMx(domain, limit));
  if (found.records.empty())
    co_return co_await ResolveImplicit(std::move(domain), found.authenticated, net::LeftUntil(deadline));
  MxAnswer answer;
  answer.expires = found.expires;
  answer.authenticated = found.authenticated;
  answer.alias_of = std::move(found.alias_of);
  answer.hosts = OrderHosts(std::move(found.records));
  if (answer.hosts.empty()) {
    co_return absl::FailedPreconditionError(absl::StrCat(domain, " accepts no mail (null MX, RFC 7505)"));
  }
  co_return answer;
}

// RFC 5321 §5.1: a domain without MX is its own host, if it has an address. `no_mx_proved`: DNSSEC says that it has
// none.
awaitable<absl::StatusOr<MxAnswer>> MxResolver::ResolveImplicit(std::string domain, bool no_mx_proved,
                                                                absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(const AddressAnswers found, co_await resolver_.ResolveAddresses(domain, limit));
  if (found.records.empty()) {
    co_return absl::NotFoundError(absl::StrCat(domain, " has neither an MX record nor an address"));
  }
  MxAnswer answer;
  answer.hosts.push_back({std::move(domain), 0});
  answer.expires = found.expires;
  answer.implicit = true;
  answer.authenticated = no_mx_proved;
  co_return answer;
}

awaitable<absl::StatusOr<HostAnswer>> MxResolver::ResolveHost(std::string host, absl::Duration limit) {
  CO_ASSIGN_OR_RETURN(AddressAnswers found, co_await resolver_.ResolveAddresses(host, limit));
  if (found.records.empty()) co_return absl::NotFoundError(absl::StrCat("the mail host ", host, " has no address"));
  HostAnswer answer;
  answer.addresses = OrderAddresses(found.records);
  answer.authenticated = found.authenticated;
  answer.alias_of = std::move(found.alias_of);
  co_return answer;
}

}  // namespace hikyaku::dns
