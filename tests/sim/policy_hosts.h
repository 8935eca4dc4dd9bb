// What the domains of the world publish of MTA-STS (RFC 8461), and the web servers that say it: a few lines of HTTP of
// their own over real TLS.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_POLICY_HOSTS_H_
#define HIKYAKU_TESTS_SIM_POLICY_HOSTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/net/stream.h"
#include "lib/net/task_group.h"
#include "tests/sim/books.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

// What is wrong with a policy host now: nothing, connections are refused, silence, 404, it does not prove its name.
enum class PolicyFault { kNone, kRefuses, kMute, kMissing, kUnproved, kCount };

class PolicyHosts {
 public:
  PolicyHosts(World& world, Books& books, Mutant::Kind mutant);

  PolicyFault& fault(int domain) { return faults_[static_cast<std::size_t>(domain)]; }
  void HealAll();

  // The TXT record at _mta-sts of a domain; empty: none.
  static std::string Record(int domain);

  // "mta-sts.d3.test" → 3; -1: it is none.
  static int DomainOfHost(absl::string_view host);

  // One connection of `worker` to the policy host of `domain`, as a task of `group`.
  void Serve(int domain, int worker, std::unique_ptr<net::Stream> stream, net::TaskGroup& group);

 private:
  static awaitable<void> Answer(PolicyHosts* hosts, int domain, int worker, std::unique_ptr<net::Stream> stream);
  std::string Response(int domain) const;

  World& world_;
  Books& books_;
  const Mutant::Kind mutant_;
  std::vector<PolicyFault> faults_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_POLICY_HOSTS_H_
