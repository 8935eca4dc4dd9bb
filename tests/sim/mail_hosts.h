// The mail hosts of the world. A host is a small SMTP server of its own, so that it
// shares no mistake with ours; it refuses, hangs and dies as the faults of the run want it, and notes what it took.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_MAIL_HOSTS_H_
#define HIKYAKU_TESTS_SIM_MAIL_HOSTS_H_

#include <memory>
#include <string>
#include <vector>

#include "lib/net/dialer.h"
#include "lib/net/task_group.h"
#include "tests/sim/books.h"
#include "tests/sim/domains.h"
#include "tests/sim/policy_hosts.h"
#include "tests/sim/world.h"
#include "tests/sim/zones.h"

namespace hikyaku::sim {

// What is wrong with a host now; chances are for each step of a dialogue.
struct HostFaults {
  enum Mode { kWell, kRefuses, kSilent, kBusy, kClosed };
  Mode mode = kWell;        // To connect: taken, refused, no answer, 421, 554.
  double transient = 0;     // 4xx to MAIL, RCPT, DATA or the dot.
  double permanent = 0;     // 5xx to RCPT.
  double rejects_mail = 0;  // 5xx to the dot.
  double hangs = 0;         // Silence for ever, before the answer to a step.
  double resets = 0;        // The connection ends instead of an answer.
  double loses_reply = 0;   // The mail is taken, and the connection ends without the 250.
  double slow = 0;          // The answer takes seconds.

  // Of TLS: a good certificate, a bad one, not announced, 454 to STARTTLS, garbage for a handshake, none at all.
  enum Tls { kGood, kSelfSigned, kWrongName, kExpired, kNotOffered, kDenied, kGarbage, kMute, kTlsCount };
  Tls tls = kGood;
  bool hides_require_tls = false;  // REQUIRETLS is not announced where it was.
};

class MailHosts {
 public:
  MailHosts(World& world, Books& books, Mutant::Kind mutant);
  ~MailHosts();

  HostFaults& faults(int host) { return hosts_[host].faults; }

  PolicyHosts& policy_hosts() { return policy_hosts_; }

  Zones& zones() { return zones_; }

  void HealAll();
  // Every host ends its connections.
  void Cancel() { group_.Cancel(); }
  std::size_t connections() const { return group_.size(); }

  // Serves one connection of `worker` to the host.
  void Serve(int host, int worker, std::unique_ptr<net::Stream> stream);

  // The number of a host by its address; -1: none.
  static int HostAt(const net::Endpoint& endpoint);

 private:
  friend class SimDialer;
  struct Host {
    HostFaults faults;
  };

  World& world_;
  Books& books_;
  Zones zones_;
  std::vector<Host> hosts_;
  PolicyHosts policy_hosts_;
  net::TaskGroup group_;
};

// The way of one worker to the hosts.
class SimDialer : public net::Dialer {
 public:
  SimDialer(World& world, MailHosts& hosts, int worker) : world_(world), hosts_(hosts), worker_(worker) {}

  awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> Dial(net::Endpoint to, net::DialOptions options) override;

 private:
  awaitable<absl::StatusOr<std::unique_ptr<net::Stream>>> DialPolicyHost(net::Endpoint to, int domain);

  World& world_;
  MailHosts& hosts_;
  const int worker_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_MAIL_HOSTS_H_
