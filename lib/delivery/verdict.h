// What becomes of mail when something breaks: the only place that decides between delivered, later and never, and
// whether another host may be asked in the same attempt. The code that speaks SMTP or DNS just says what broke.
//
// docs/failure.md is this file as a table; each of its rows is a row of verdict_test.cc.
//
// Source:     RFC 5321 §4.2.1, §4.5.3.1.10, §5.1; RFC 3463; RFC 7505; RFC 1870 §6; RFC 6152 §3; RFC 6531 §3.2; RFC
// 1047. Threading:  pure functions.
//
// Rules that hold everywhere:
//   The basic code decides the class; an enhanced code of another class is only text.
//   What a host says before a transaction (greeting, EHLO) is about the host: never permanent for the mail.
//   A host that says 421, hangs up or is silent has judged nothing; the next host is asked.
//   After the end of the body was written without an answer, no other host is asked in this attempt: `ambiguous`.
#ifndef HIKYAKU_LIB_DELIVERY_VERDICT_H_
#define HIKYAKU_LIB_DELIVERY_VERDICT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/v1/events.pb.h"
#include "lib/delivery/tls_demand.h"
#include "lib/https/client.h"
#include "lib/outcome/outcome.h"
#include "lib/smtp/client_session.h"
#include "lib/smtp/reply.h"

namespace hikyaku::delivery {

// One recipient's fate at one host.
struct Judgement {
  outcome::Outcome outcome;
  bool try_next = false;  // Not the last word: another host of the same attempt may do better. Always transient.
};

// ---- Before a connection: the domain and its hosts. ----

// MxResolver::Resolve failed for `domain`.
outcome::Outcome JudgeMxLookup(const absl::Status& why, absl::string_view domain);

// MxResolver::ResolveHost failed for `host`, one of the domain's; the others are still asked.
outcome::Outcome JudgeHostLookup(const absl::Status& why, absl::string_view host);

// Every address of the destination is one that the egress guard forbids; `why` is its last refusal.
outcome::Outcome JudgeProhibited(const absl::Status& why, absl::string_view domain);

// The best MX of `domain` is this host itself (RFC 5321 §5.1).
outcome::Outcome JudgeLoop(absl::string_view domain, absl::string_view host);

// The operator's route led to this, so the mail is not to blame: it waits until the route is mended.
outcome::Outcome BlameRoute(const outcome::Outcome& outcome);

// Dialer::Dial failed, and not for being our own listener (Plan::MetOurselves). The next address is asked.
outcome::Outcome JudgeConnect(const absl::Status& why, absl::string_view remote);

// ---- Before a transaction: the signature. ----

// The mail's DKIM signature cannot be made now; `why` is what Signing said. It waits: it never leaves unsigned.
outcome::Outcome JudgeUnsigned(absl::string_view why);

// ---- A session without a transaction. ----

// A greeting, an answer to EHLO and HELO, or a 421 between transactions that refuses the session.
outcome::Outcome JudgeRefusal(smtp::Step step, const smtp::Reply& reply, absl::string_view remote);

// The connection or the dialogue broke, or time ran out, outside a transaction.
outcome::Outcome JudgeBroken(absl::string_view why, absl::string_view remote);

// The connection is not what the policy (as HostPolicy::Text() tells it) asks for. The next host is asked.
outcome::Outcome JudgeTls(const TlsFailure& failure, absl::string_view policy, absl::string_view remote);

// The MTA-STS policy of `domain` does not list `host`: nobody connects to it. The next host is asked.
outcome::Outcome JudgeNotInSts(absl::string_view host, absl::string_view domain);
// The host is not asked at all: `why` says what it lacks that the policy asks for.
outcome::Outcome JudgeTlsUnmet(absl::string_view policy, absl::string_view why, absl::string_view host);

// The mail requires TLS that proves the host (RFC 8689 §4.2.1), and `host` has its name from unsigned DNS alone.
outcome::Outcome JudgeUncertainName(absl::string_view host);

// The mail requires that it is passed on over TLS alone, which the host does not promise (REQUIRETLS). The next one is
// asked; where all of the domain's hosts were asked and none promises it, that is final (RFC 8689 §4.2.1).
outcome::Outcome JudgeNoRequireTls(absl::string_view remote);
outcome::Outcome JudgeRequireTlsNowhere(absl::string_view domain);

// The host refuses our login (routes[].auth). Our configuration's fault or the host's, never the mail's.
outcome::Outcome JudgeLoginRefused(const smtp::Reply& reply, absl::string_view route, absl::string_view remote);

// There was no login: no password, no TLS that proves the host, no mechanism in common, or SCRAM broke off.
outcome::Outcome JudgeNoLogin(absl::string_view why, absl::string_view route, absl::string_view remote);

// No source is left to send from: `why` says which pool and what it lacks.
outcome::Outcome JudgeNoSource(absl::string_view why);

// ---- The host cannot take this message. ----

outcome::Outcome JudgeTooLarge(std::uint64_t size, std::uint64_t limit, absl::string_view remote);
// `why` is what Downgrade8Bit said.
outcome::Outcome JudgeNo8Bit(absl::string_view why, absl::string_view remote);
outcome::Outcome JudgeNoSmtpUtf8(absl::string_view remote);
// The session refused to write the envelope: an address in it could break the dialogue.
outcome::Outcome JudgeUnsendable(absl::string_view why);

// ---- A transaction. ----

// One judgement a recipient, in the order of result.rcpt.
std::vector<Judgement> JudgeTransaction(const smtp::TransactionResult& result, absl::string_view remote);

// ---- A route that ends here. ----

// `text` says by whose word the mail was thrown away.
outcome::Outcome JudgeDiscarded(absl::string_view text);

// Stored in the Maildir `folder`; or not, and the fault is ours: the mail waits.
outcome::Outcome JudgeCaptured(absl::string_view folder);
outcome::Outcome JudgeNotCaptured(const absl::Status& why, absl::string_view folder);

// The operator's own words, and his code ("5.1.1").
outcome::Outcome JudgeRejected(absl::string_view enhanced, absl::string_view text);

// ---- What is POSTed (RFC 8460 §5.4). ----

// By the status of the answer, or by what broke before there was one. What waiting may mend is tried again.
outcome::Outcome JudgePosted(const https::Answer& answer);
outcome::Outcome JudgeBadUrl(const absl::Status& why);

// ---- Ourselves. ----

// We stop before this recipient had its turn, and cannot give the lease back since others had theirs.
outcome::Outcome JudgeStopped();

// No host was left to ask, and none said why: the bounds of an attempt were reached.
outcome::Outcome JudgeUntried(absl::string_view domain);

// For the queue and its events. The text is cut at the 1,024 bytes that events.proto promises.
v1::Outcome ToProto(const outcome::Outcome& outcome, absl::Time now);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_VERDICT_H_
