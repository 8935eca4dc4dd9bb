// The DNS as one worker sees it: a resolver that validates, and is believed. It notes what it told.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_SIM_RESOLVER_H_
#define HIKYAKU_TESTS_SIM_SIM_RESOLVER_H_

#include <string>

#include "lib/dns/resolver.h"
#include "tests/sim/books.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"
#include "tests/sim/zones.h"

namespace hikyaku::sim {

// Of a mail host, and of the policy host of a domain.
address::IpAddress HostAddress(int host);
address::IpAddress PolicyAddress(int domain);

class SimResolver : public dns::Resolver {
 public:
  SimResolver(World& world, Books& books, Zones& zones, int worker, Mutant::Kind mutant)
      : world_(world), books_(books), zones_(zones), worker_(worker), mutant_(mutant) {}

  awaitable<absl::StatusOr<dns::MxAnswers>> ResolveMx(std::string domain, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::AddressAnswers>> ResolveAddresses(std::string host, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TextAnswers>> ResolveTxt(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TlsaAnswers>> ResolveTlsa(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TextAnswers>> ResolveAlias(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TextAnswers>> ResolvePtr(address::IpAddress address, absl::Duration limit) override;

 private:
  awaitable<absl::Status> Way(int domain, absl::Duration limit);

  World& world_;
  Books& books_;
  Zones& zones_;
  const int worker_;
  const Mutant::Kind mutant_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_SIM_RESOLVER_H_
