// How mail must leave, beside arriving: the judgement of each mail that a host takes, and of what the events say of it.
//
// What is promised: no clear text where the policy forbids it; a host that must prove its name did so at the handshake;
// no policy of one domain applied to another, though they share hosts; a worker that was told the MTA-STS policy of a
// domain keeps to it; where TLSA records are published they hold, and a look-up that fails closes the host; mail that
// requires TLS goes to who promises to pass it on so, by a name that is certain, and bounces only where nobody promises
// it; mail that waives TLS waits for no policy that is published; opportunistic TLS gives way to clear text only where
// it is not offered or has failed for long enough; mail of a signed domain has a signature that passes, and mail of
// others has none.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_PROMISES_H_
#define HIKYAKU_TESTS_SIM_PROMISES_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/v1/events.pb.h"
#include "tests/sim/dns_books.h"
#include "tests/sim/ways.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

// How long the mail of a domain without a policy is held before it goes in clear text to a host whose TLS fails.
inline constexpr absl::Duration kClearTextAfter = absl::Seconds(20);

// `message` without the DKIM-Signature fields at its head.
absl::string_view WithoutSignatures(absl::string_view message);

class Promises {
 public:
  Promises(World& world, std::function<void(std::string)> problem)
      : world_(world), problem_(std::move(problem)), dns_(world) {}

  // `mail`: token, or id of a report.
  void NoteAsked(const std::string& mail, SenderTls asked) { asked_[mail] = asked; }

  // `report` is one to the sender of mail that requires TLS.
  void NoteReportOnRequired(const std::string& report) { reports_on_required_.insert(report); }

  // A worker got mail for `domain` from a shard.
  void NoteLease(int worker, int shard, const std::string& mail, const std::string& domain);

  // A worker has the MTA-STS policy of `domain`; a new process knows none.
  void NotePolicyTold(int worker, const std::string& domain);
  void NoteWorkerStart(int worker);

  // A handshake that a worker began at a host failed.
  void NoteBrokenTls(int worker, int host);

  // In a session over TLS a host did not announce REQUIRETLS.
  void NoteNoRequireTls(int host) { without_require_tls_.insert(host); }

  DnsBooks& dns() { return dns_; }

  void JudgeTaken(const Channel& channel, const std::string& mail, absl::string_view message,
                  const std::vector<std::string>& recipients);

  // What `event` of `mail` says of TLS.
  void JudgeEvent(const v1::Event& event, const std::string& mail);

  // `event` is the bounce of mail that requires TLS all the way, which the domain's hosts do not promise.
  bool IsUnpromised(const v1::Event& event, const std::string& mail) const;

  // `wrong_clocks`: waits prove nothing.
  void Check(bool wrong_clocks);

  struct Counts {
    std::uint64_t sts = 0, dane = 0, clear = 0, encrypted = 0, proved = 0, is_signed = 0, fell_back = 0;
    std::uint64_t required = 0, waived = 0;  // By the sender; of the latter those that a policy would have kept.
  };
  const Counts& counts() const { return counts_; }

 private:
  SenderTls AskedOf(const std::string& mail) const;
  absl::Duration AttemptBegan(int worker, const std::string& mail, const std::string& domain) const;
  void JudgeChannel(const Channel& channel, const std::string& mail, const std::string& domain);
  void JudgeRequireTls(const Channel& channel, const std::string& mail, const std::string& domain, const Told& told);
  void CountWay(const Channel& channel, const Way& way);
  bool MustKeepToSts(const Channel& channel, const std::string& mail, const std::string& domain) const;
  void JudgeClearText(const Channel& channel, const std::string& mail, const std::string& domain);
  void JudgeDelivered(const v1::Event& event, SenderTls asked);
  void JudgeFailed(const v1::Event& event, const std::string& mail);
  void JudgeSignatures(const std::string& mail, absl::string_view message);

  World& world_;
  const std::function<void(std::string)> problem_;
  std::map<std::pair<std::string, std::string>, absl::Duration> first_leases_;  // By mail and domain.
  // By worker, and mail and domain: of each shard, when last. One mail may be at two shards, by a twin of its key.
  std::map<std::pair<int, std::string>, std::map<int, absl::Duration>> last_leases_;
  std::map<std::pair<int, std::string>, absl::Duration> told_;  // By worker and domain.
  std::map<std::pair<int, int>, absl::Duration> first_broken_;  // By worker and host.
  std::map<std::string, SenderTls> asked_;
  std::set<std::string> reports_on_required_;
  std::set<int> without_require_tls_;  // Hosts.
  DnsBooks dns_;
  std::vector<std::string> hasty_;  // Problems, if the clocks were right.
  Counts counts_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_PROMISES_H_
