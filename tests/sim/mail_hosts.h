// The mail hosts of the world and the DNS that leads to them. A host is a small SMTP server of its own, so that it
// shares no mistake with ours; it refuses, hangs and dies as the faults of the run want it, and notes what it took.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_MAIL_HOSTS_H_
#define HIKYAKU_TESTS_SIM_MAIL_HOSTS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/dns/resolver.h"
#include "lib/net/dialer.h"
#include "lib/net/task_group.h"
#include "tests/sim/books.h"
#include "tests/sim/policy_hosts.h"
#include "tests/sim/world.h"

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
};

class MailHosts {
 public:
  MailHosts(World& world, Books& books, Mutant::Kind mutant);
  ~MailHosts();

  // Domains d0.test to d9.test.
  static constexpr int kDomains = 10;
  static constexpr int kHosts = 8;
  static std::string Domain(int number);
  static std::string HostName(int number);  // Modulo kHosts.

  HostFaults& faults(int host) { return hosts_[host].faults; }

  PolicyHosts& policy_hosts() { return policy_hosts_; }

  // DNS of a domain: kOk, kUnavailable (SERVFAIL), kNotFound (NXDOMAIN), kDeadlineExceeded (silence).
  void SetDns(int domain, absl::StatusCode code) { dns_[Domain(domain)] = code; }

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
  friend class SimResolver;
  struct Host {
    HostFaults faults;
  };

  World& world_;
  Books& books_;
  std::map<std::string, absl::StatusCode> dns_;
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

class SimResolver : public dns::Resolver {
 public:
  SimResolver(World& world, Books& books, MailHosts& hosts) : world_(world), books_(books), hosts_(hosts) {}

  awaitable<absl::StatusOr<dns::MxAnswers>> ResolveMx(std::string domain, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::AddressAnswers>> ResolveAddresses(std::string host, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TextAnswers>> ResolveTxt(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TlsaAnswers>> ResolveTlsa(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TextAnswers>> ResolveAlias(std::string name, absl::Duration limit) override;
  awaitable<absl::StatusOr<dns::TextAnswers>> ResolvePtr(address::IpAddress address, absl::Duration limit) override;

 private:
  World& world_;
  Books& books_;
  MailHosts& hosts_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_MAIL_HOSTS_H_
