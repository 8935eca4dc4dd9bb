// One attempt on one delivery: route → plan → for each host and address a connection → transactions → one outcome a
// recipient.
//
// Source:     RFC 5321 §5.1, §4.5.3.1.8 (100 recipients), §4.5.4.1 (more than one host in one attempt).
// Non-goals:  when to try again (the shard); leases (worker.h).
// Threading:  one coroutine owns it, on one executor.
#ifndef HIKYAKU_LIB_DELIVERY_ATTEMPT_H_
#define HIKYAKU_LIB_DELIVERY_ATTEMPT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/delivery/connection.h"
#include "lib/delivery/connection_pool.h"
#include "lib/delivery/host_tls.h"
#include "lib/delivery/maildir.h"
#include "lib/delivery/plan.h"
#include "lib/delivery/route.h"
#include "lib/delivery/signing.h"
#include "lib/delivery/source.h"
#include "lib/delivery/tls_policy.h"
#include "lib/delivery/tls_session_log.h"
#include "lib/delivery/tls_wish.h"
#include "lib/delivery/verdict.h"
#include "lib/dns/resolver.h"
#include "lib/mta_sts/policies.h"
#include "lib/net/asio.h"
#include "lib/net/dialer.h"
#include "lib/net/egress_guard.h"
#include "lib/outcome/outcome.h"
#include "lib/queue/shard.h"
#include "lib/smtp/client_timeouts.h"

namespace hikyaku::delivery {

// Fixed for the life of the worker.
struct AttemptOptions {
  std::string helo;  // What EHLO says.
  OwnHost own;
  std::size_t recipients_per_transaction = 100;
  smtp::ClientTimeouts timeouts;
  const DkimKeyring* keyring = nullptr;  // Outlives the worker; null: mail leaves as it came.
};

// Replaced as a whole when the configuration is loaded again; an attempt keeps the one that it began with.
struct Network {
  RouteTable routes;
  net::EgressGuard guard;
  std::shared_ptr<net::Dialer> dialer;    // Opens the same ranges as `guard`.
  std::shared_ptr<Maildir> maildir = {};  // For routes to a Maildir; nothing where none may be.
  TlsSettings tls = {};
  bool tls_reports = false;  // Sessions are counted for domains that ask for reports on TLS.
  std::shared_ptr<const Sources> sources = std::make_shared<const Sources>();
  std::shared_ptr<WarmUpLedger> ledger = std::make_shared<WarmUpLedger>();  // One for the life of the process.
};

// What the attempts of one io_context share. All outlive the attempt.
struct AttemptEnv {
  const AttemptOptions& options;
  std::shared_ptr<const Network> network;
  dns::Resolver& resolver;
  ConnectionPool& pool;
  Clock& clock;
  mta_sts::Policies* sts = nullptr;  // Null: there is no MTA-STS.
  queue::Shard* shard = nullptr;     // Of the lease.
};

class Attempt {
 public:
  // Sessions that one attempt may open: each may cost the time of a whole dialogue. Tries to connect: dns::kMaxTries.
  static constexpr int kMaxSessions = 5;

  // An IPv6 address that does not answer costs this much when the host has another one (RFC 8305 in its simplest form).
  static constexpr absl::Duration kQuickTry = absl::Seconds(5);

  enum class End {
    kJudged,    // outcomes() has one for each recipient; see lease_lost() too.
    kGiveBack,  // We are stopping, and nothing was judged: as if it had not been tried.
    kLost,      // The lease is gone, and nothing was judged.
  };

  Attempt(AttemptEnv env, const queue::Lease& lease, LeaseGuard& guard);

  awaitable<End> Run();

  // After kJudged: outcomes()[i] is of delivery.recipients(i).
  const std::vector<outcome::Outcome>& outcomes() const { return final_; }

  // Of the sessions that were opened, what reports on TLS are to tell.
  std::vector<storage::v1::TlsSession> TakeTlsSessions() { return tls_log_.Take(); }

  // The attempt ended because its lease was gone. What it had judged before that is told all the same: the shard drops
  // it if the lease really is, and else nobody is sent a second copy.
  bool lease_lost() const { return lease_lost_; }

  // The host that was talked to last, "" when none was.
  const std::string& remote() const { return remote_; }

 private:
  struct Recipient {
    bool settled = false;  // Nothing more to do for it in this attempt.
    std::optional<outcome::Outcome> outcome;
  };
  using Chunk = std::vector<std::size_t>;  // Recipients by index.

  // What follows after one connection, or one part of its work.
  enum class Move {
    kGoOn,      // The next part on the same connection.
    kDone,      // Every recipient is settled.
    kNext,      // The next address or host.
    kAgain,     // The peer ended the connection between transactions, which is no failure: a fresh one may work.
    kStopping,  // We were cancelled.
    kLost,      // The lease is gone.
  };

  awaitable<End> RunLocal();
  awaitable<End> RunPost();
  std::optional<outcome::Outcome> PrepareLogin();
  awaitable<bool> LoggedIn(Connection& connection);
  const Source* SourceFor(const net::Endpoint& endpoint);
  awaitable<absl::Status> ChoosePolicy(const PlannedHost& host);
  bool LacksRequireTls(Connection& connection);
  bool SaysRequireTls(const Connection& connection) const;
  void SettleRequireTls();
  void NoteTlsSession(Connection& connection, bool proxied);
  awaitable<Move> TryHost(PlannedHost host);
  awaitable<Move> TryAddresses(const PlannedHost& host);
  awaitable<Move> TryKept(const PlannedHost& host, std::size_t index);
  awaitable<Move> TryFresh(const PlannedHost& host, std::size_t index);
  std::unique_ptr<Connection> Kept(const ConnectionKey& key);
  awaitable<std::unique_ptr<Connection>> Dial(const PlannedHost& host, std::size_t index);
  awaitable<Move> Send(std::unique_ptr<Connection> connection);
  awaitable<Move> SendByAndBy(Connection& connection, Chunk chunk);
  awaitable<Move> SendChunk(Connection& connection, Chunk chunk);
  awaitable<Move> Sign(const smtp::Extensions& extensions);

  void NoteNoConnection(const absl::Status& why, const std::string& remote);
  bool NoteOpened(Connection& connection);
  bool SettleUnfit(Connection& connection);
  std::optional<outcome::Outcome> Unfit(Connection& connection);
  bool NeedsSmtpUtf8(std::size_t recipient) const;
  const std::string& BodyFor(const smtp::Extensions& extensions) const;
  smtp::Outgoing MakeOutgoing(const Chunk& chunk, Connection& connection) const;
  Move Judge(Connection& connection, const Chunk& chunk, bool reused);
  absl::Duration DialLimit(const PlannedHost& host, std::size_t index) const;
  std::optional<ConnectionKey> KeyOf(const PlannedHost& host, std::size_t index);
  TlsDemand DemandOf(const PlannedHost& host) const;
  bool NoteBrokenTls(const Connection& connection, const PlannedHost& host);
  outcome::Outcome WithTls(outcome::Outcome outcome, const Connection& connection) const;

  Chunk Pending() const;
  void Settle(const Chunk& chunk, const outcome::Outcome& outcome);
  void Note(std::size_t recipient, const outcome::Outcome& outcome);
  void NotePending(const outcome::Outcome& outcome);
  End Finish(const outcome::Outcome& otherwise);
  End Stopped(End nothing_judged);

  AttemptEnv env_;
  const queue::Lease& lease_;
  LeaseGuard& guard_;
  const NextHop hop_;
  SourceChoice sources_;
  Login* const login_;  // Of the route; nothing: no AUTH.
  std::uint64_t login_id_ = 0;
  Budget budget_;
  Plan plan_;
  HostTls tls_;
  HostPolicy policy_;  // Of the host that is tried now.
  const TlsWish wish_;
  bool certain_name_ = false;      // Of that host: HasCertainName.
  bool lacks_requiretls_ = false;  // That host; and whether any did, or failed for another reason.
  bool any_lacks_requiretls_ = false;
  bool other_failed_ = false;
  TlsSessionLog tls_log_;
  int sessions_ = 0;
  bool begun_ = false;
  bool stopping_ = false;  // A wait ended with kCancelled.
  bool lease_lost_ = false;
  bool met_ourselves_ = false;
  std::vector<Recipient> recipients_;
  std::vector<outcome::Outcome> final_;
  std::string remote_;
  std::optional<std::string> downgraded_;  // The body for hosts without 8BITMIME.
  Signing signing_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_ATTEMPT_H_
