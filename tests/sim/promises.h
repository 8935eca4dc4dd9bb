// How mail must leave, beside arriving: what each domain asks of TLS and whose mail must be signed; and the judgement
// of each mail that a host takes.
//
// What is promised: no clear text where the policy forbids it; a host that must prove its name did so at the handshake;
// no policy of one domain applied to another, though they share hosts; a worker that was told the MTA-STS policy of a
// domain keeps to it; opportunistic TLS gives way to clear text only
// where it is not offered or has failed for long enough; mail of a signed domain has a signature that passes, and mail
// of others has none.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_PROMISES_H_
#define HIKYAKU_TESTS_SIM_PROMISES_H_

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/v1/events.pb.h"
#include "lib/delivery/tls_demand.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

// What the operator's routes ask of the way to `domain`; of two domains that share a host, each asks for something
// else.
delivery::TlsLevel PolicyOf(absl::string_view domain);

// What a domain publishes of MTA-STS. It holds where the operator's routes ask for less, but where they ask for none.
struct Sts {
  enum Mode { kNone, kTesting, kEnforce };
  Mode mode = kNone;
  std::vector<int> hosts;  // Which of its MX hosts it lists.
};
Sts StsOf(absl::string_view domain);

// How long the mail of a domain without a policy is held before it goes in clear text to a host whose TLS fails.
inline constexpr absl::Duration kClearTextAfter = absl::Seconds(20);

// How a host sees the connection that a mail came by.
struct Channel {
  int worker = -1;
  int host = -1;
  bool offered = false;  // STARTTLS was announced, and not refused.
  bool tls = false;
  bool proved = false;  // With a certificate that is good for this host.
};

// `message` without the DKIM-Signature fields at its head.
absl::string_view WithoutSignatures(absl::string_view message);

class Promises {
 public:
  Promises(World& world, std::function<void(std::string)> problem) : world_(world), problem_(std::move(problem)) {}

  // A worker got mail for `domain`; `mail`: token, or id of a report.
  void NoteLease(int worker, const std::string& mail, const std::string& domain);

  // A worker has the MTA-STS policy of `domain`; a new process knows none.
  void NotePolicyTold(int worker, const std::string& domain);
  void NoteWorkerStart(int worker);

  // A handshake that a worker began at a host failed.
  void NoteBrokenTls(int worker, int host);

  void JudgeTaken(const Channel& channel, const std::string& mail, absl::string_view message,
                  const std::vector<std::string>& recipients);

  // What the delivery of `event` says of its connection.
  void JudgeEvent(const v1::Event& event);

  // `wrong_clocks`: waits prove nothing.
  void Check(bool wrong_clocks);

  struct Counts {
    std::uint64_t sts = 0, clear = 0, encrypted = 0, proved = 0, is_signed = 0, fell_back = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  void JudgeChannel(const Channel& channel, const std::string& mail, const std::string& domain);
  bool MustKeepToSts(const Channel& channel, const std::string& mail, const std::string& domain) const;
  void JudgeClearText(const Channel& channel, const std::string& mail, const std::string& domain);
  void JudgeSignatures(const std::string& mail, absl::string_view message);

  World& world_;
  const std::function<void(std::string)> problem_;
  std::map<std::pair<std::string, std::string>, absl::Duration> first_leases_;  // By mail and domain.
  std::map<std::pair<int, std::string>, absl::Duration> last_leases_;           // By worker, and mail and domain.
  std::map<std::pair<int, std::string>, absl::Duration> told_;                  // By worker and domain.
  std::map<std::pair<int, int>, absl::Duration> first_broken_;                  // By worker and host.
  std::vector<std::string> hasty_;                                              // Problems, if the clocks were right.
  Counts counts_;
};

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_PROMISES_H_
