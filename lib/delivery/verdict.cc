#include "lib/delivery/verdict.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/utf8.h"
#include "lib/outcome/enhanced_code.h"

namespace hikyaku::delivery {
namespace {

using outcome::FromReply;
using outcome::FromUs;
using outcome::Kind;
using outcome::Outcome;
using outcome::Scope;

// RFC 5321 §4.5.3.1.10: what RFC 821 told servers to say to too many recipients. Clients take it as 452.
constexpr int kTooManyRecipients = 552;
constexpr int kServiceClosing = 421;

constexpr std::size_t kMaxProtoText = 1024;

Outcome OfReply(Scope scope, const smtp::Reply& reply, absl::string_view remote) {
  return FromReply(reply.code == kServiceClosing ? Scope::kSession : scope, reply.code, reply.enhanced, reply.text,
                   remote);
}

// Delivered, and no further.
Outcome EndedHere(absl::string_view text, Scope scope = Scope::kMessage, absl::string_view remote = "") {
  Outcome ended = FromUs(Kind::kDelivered, scope, {2, 0, 0}, text, remote);
  ended.final_delivery = true;
  return ended;
}

// A refusal that is transient leaves the next host to be asked, which may know better (RFC 5321 §5.1).
Judgement Refused(Outcome outcome) {
  const bool try_next = outcome.kind == Kind::kTransient;
  return {std::move(outcome), try_next};
}

Judgement RefusedRecipient(const smtp::Reply& reply, absl::string_view remote) {
  Outcome outcome = OfReply(Scope::kRecipient, reply, remote);
  if (reply.code == kTooManyRecipients) outcome = outcome.As(Kind::kTransient);
  return Refused(std::move(outcome));
}

// What the transaction as a whole came to: the fate of each recipient that was not refused by name.
Judgement JudgeRest(const smtp::TransactionResult& result, absl::string_view remote) {
  if (result.final) return Refused(OfReply(Scope::kMessage, *result.final, remote));
  if (result.data && !result.data->Intermediate()) return Refused(OfReply(Scope::kMessage, *result.data, remote));
  if (result.Ambiguous()) {
    return {outcome::Ambiguous(absl::StrCat("no answer to the end of the message: ", result.broke), remote), false};
  }
  if (result.closing) return Refused(OfReply(Scope::kSession, *result.closing, remote));
  return {JudgeBroken(result.broke, remote), true};
}

// LMTP (RFC 2033 §4.2): the last word on this recipient. Once the message was written, it may have been delivered to
// whom no reply has come for, whatever the others were told.
Judgement JudgeLmtp(const smtp::TransactionResult& result, std::size_t i, Judgement rest, absl::string_view remote) {
  if (result.rcpt_final[i]) return Refused(OfReply(Scope::kRecipient, *result.rcpt_final[i], remote));
  if (!result.committed || result.final || !result.rcpt[i] || !result.rcpt[i]->Positive()) return rest;
  return {outcome::Ambiguous(absl::StrCat("no answer for this recipient to the end of the message: ", result.broke),
                             remote),
          false};
}

v1::Outcome::Kind KindToProto(Kind kind) {
  switch (kind) {
    case Kind::kDelivered: return v1::Outcome::KIND_DELIVERED;
    case Kind::kTransient: return v1::Outcome::KIND_TRANSIENT;
    case Kind::kPermanent: return v1::Outcome::KIND_PERMANENT;
  }
  return v1::Outcome::KIND_TRANSIENT;
}

v1::Outcome::Scope ScopeToProto(Scope scope) {
  switch (scope) {
    case Scope::kRecipient: return v1::Outcome::SCOPE_RECIPIENT;
    case Scope::kMessage: return v1::Outcome::SCOPE_MESSAGE;
    case Scope::kSession: return v1::Outcome::SCOPE_SESSION;
    case Scope::kHost: return v1::Outcome::SCOPE_HOST;
    case Scope::kDomain: return v1::Outcome::SCOPE_DOMAIN;
  }
  return v1::Outcome::SCOPE_UNSPECIFIED;
}

v1::Tls TlsToProto(const outcome::TlsUsed& tls) {
  v1::Tls proto;
  proto.set_version(tls.version);
  proto.set_cipher(tls.cipher);
  proto.set_verified(tls.verified);
  const absl::string_view reason = CutUtf8(tls.unverified_reason, kMaxProtoText);
  proto.set_unverified_reason(reason.data(), reason.size());
  proto.set_policy(tls.policy);
  return proto;
}

}  // namespace

Outcome JudgeMxLookup(const absl::Status& why, absl::string_view domain) {
  switch (why.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kInvalidArgument:
      return FromUs(Kind::kPermanent, Scope::kDomain, {5, 1, 2}, absl::StrCat("no such domain: ", domain));
    case absl::StatusCode::kFailedPrecondition:  // RFC 7505 §4.
      return FromUs(Kind::kPermanent, Scope::kDomain, {5, 1, 10}, absl::StrCat(domain, " takes no mail (null MX)"));
    default:
      return FromUs(Kind::kTransient, Scope::kDomain, {4, 4, 3},
                    absl::StrCat("DNS look-up of ", domain, " failed: ", why.message()));
  }
}

Outcome JudgeHostLookup(const absl::Status& why, absl::string_view host) {
  if (why.code() == absl::StatusCode::kNotFound || why.code() == absl::StatusCode::kInvalidArgument) {
    return FromUs(Kind::kTransient, Scope::kHost, {4, 4, 4}, absl::StrCat("mail host ", host, " has no address"));
  }
  return FromUs(Kind::kTransient, Scope::kHost, {4, 4, 3},
                absl::StrCat("DNS look-up of mail host ", host, " failed: ", why.message()));
}

Outcome JudgeProhibited(const absl::Status& why, absl::string_view domain) {
  return FromUs(Kind::kPermanent, Scope::kDomain, {5, 7, 1},
                absl::StrCat(domain, " has no mail host that may be connected to: ", why.message()));
}

Outcome JudgeLoop(absl::string_view domain, absl::string_view host) {
  return FromUs(Kind::kPermanent, Scope::kDomain, {5, 4, 6},
                absl::StrCat("mail for ", domain, " loops back to this host (", host, ")"));
}

Outcome BlameRoute(const Outcome& outcome) { return outcome.As(Kind::kTransient); }

Outcome JudgeConnect(const absl::Status& why, absl::string_view remote) {
  switch (why.code()) {
    case absl::StatusCode::kResourceExhausted:  // Ours: no descriptor, no port.
      return FromUs(Kind::kTransient, Scope::kSession, {4, 3, 1}, why.message(), remote);
    case absl::StatusCode::kInvalidArgument:  // Ours: a source address that this machine does not have.
      return FromUs(Kind::kTransient, Scope::kHost, {4, 3, 5}, why.message(), remote);
    case absl::StatusCode::kPermissionDenied:
      return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 1}, why.message(), remote);
    default: return FromUs(Kind::kTransient, Scope::kHost, {4, 4, 1}, why.message(), remote);
  }
}

Outcome JudgeUnsigned(absl::string_view why) { return FromUs(Kind::kTransient, Scope::kMessage, {4, 7, 5}, why); }

Outcome JudgeRefusal(smtp::Step step, const smtp::Reply& reply, absl::string_view remote) {
  smtp::Reply said = reply;
  if (said.text.empty()) said.text = absl::StrCat("refused at ", smtp::StepName(step));
  const Outcome outcome = OfReply(Scope::kHost, said, remote);
  return outcome.kind == Kind::kTransient ? outcome : outcome.As(Kind::kTransient);
}

Outcome JudgeBroken(absl::string_view why, absl::string_view remote) {
  return FromUs(Kind::kTransient, Scope::kSession, {4, 4, 2}, why.empty() ? "the connection was lost" : why, remote);
}

Outcome JudgeTls(const TlsFailure& failure, absl::string_view policy, absl::string_view remote) {
  using What = TlsFailure::What;
  const std::string asked = absl::StrCat("the policy is ", policy, ", but ");
  if (failure.what == What::kDenied) {
    const std::string answer = failure.why.empty() ? "does not offer TLS" : absl::StrCat("refuses TLS: ", failure.why);
    return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 4}, absl::StrCat(asked, "the host ", answer), remote);
  }
  const absl::string_view what = failure.what == What::kUnproved ? "" : "the TLS handshake failed: ";
  return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 5}, absl::StrCat(asked, what, failure.why), remote);
}

Outcome JudgeNotInSts(absl::string_view host, absl::string_view domain) {
  return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 5},
                absl::StrCat("the MTA-STS policy of ", domain, " does not list its MX host ", host));
}

Outcome JudgeUncertainName(absl::string_view host) {
  return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 10},
                absl::StrCat("the mail requires TLS, but the name of mail host ", host,
                             " is proven neither by DNSSEC nor by an MTA-STS policy"));
}

Outcome JudgeNoRequireTls(absl::string_view remote) {
  return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 30},
                "the mail requires TLS all the way, which the host does not offer (REQUIRETLS)", remote);
}

Outcome JudgeRequireTlsNowhere(absl::string_view domain) {
  return FromUs(
      Kind::kPermanent, Scope::kDomain, {5, 7, 30},
      absl::StrCat("the mail requires TLS all the way, which no mail host of ", domain, " offers (REQUIRETLS)"));
}

Outcome JudgeTlsUnmet(absl::string_view policy, absl::string_view why, absl::string_view host) {
  return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 5}, absl::StrCat("the policy is ", policy, ", but ", why), host);
}

Outcome JudgeLoginRefused(const smtp::Reply& reply, absl::string_view route, absl::string_view remote) {
  smtp::Reply said = reply;
  said.text = absl::StrCat("the login of ", route, " is refused: ", reply.text);
  return OfReply(Scope::kHost, said, remote).As(Kind::kTransient);
}

Outcome JudgeNoLogin(absl::string_view why, absl::string_view route, absl::string_view remote) {
  return FromUs(Kind::kTransient, Scope::kHost, {4, 7, 0}, absl::StrCat("no login of ", route, ": ", why), remote);
}

Outcome JudgeNoSource(absl::string_view why) { return FromUs(Kind::kTransient, Scope::kMessage, {4, 3, 2}, why); }

Outcome JudgeTooLarge(std::uint64_t size, std::uint64_t limit, absl::string_view remote) {
  return FromUs(Kind::kPermanent, Scope::kMessage, {5, 3, 4},
                absl::StrCat("the message of ", size, " octets is larger than the ", limit, " that the host takes"),
                remote);
}

Outcome JudgeNo8Bit(absl::string_view why, absl::string_view remote) {
  return FromUs(Kind::kPermanent, Scope::kMessage, {5, 6, 3},
                absl::StrCat("the host takes no 8-bit message, and this one cannot be converted: ", why), remote);
}

Outcome JudgeNoSmtpUtf8(absl::string_view remote) {
  return FromUs(Kind::kPermanent, Scope::kMessage, {5, 6, 7},
                "the message needs SMTPUTF8, which the host does not offer", remote);
}

Outcome JudgeUnsendable(absl::string_view why) { return FromUs(Kind::kPermanent, Scope::kMessage, {5, 1, 3}, why); }

std::vector<Judgement> JudgeTransaction(const smtp::TransactionResult& result, absl::string_view remote) {
  const bool mail_refused = result.mail && !result.mail->Positive();
  const Judgement rest =
      mail_refused ? Refused(OfReply(Scope::kMessage, *result.mail, remote)) : JudgeRest(result, remote);
  std::vector<Judgement> judgements;
  judgements.reserve(result.rcpt.size());
  for (std::size_t i = 0; i < result.rcpt.size(); ++i) {
    const std::optional<smtp::Reply>& reply = result.rcpt[i];
    // After a refused MAIL, what is said to a pipelined RCPT ("503 no MAIL") tells nothing about the recipient.
    const bool by_name = !mail_refused && reply && !reply->Positive();
    judgements.push_back(by_name                     ? RefusedRecipient(*reply, remote)
                         : result.rcpt_final.empty() ? rest
                                                     : JudgeLmtp(result, i, rest, remote));
  }
  return judgements;
}

Outcome JudgeDiscarded(absl::string_view text) { return EndedHere(text); }

Outcome JudgeCaptured(absl::string_view folder) { return EndedHere(absl::StrCat("stored in the Maildir ", folder)); }

Outcome JudgeNotCaptured(const absl::Status& why, absl::string_view folder) {
  return FromUs(Kind::kTransient, Scope::kDomain, {4, 3, 0},
                absl::StrCat("cannot be stored in the Maildir ", folder, ": ", why.message()));
}

Outcome JudgeRejected(absl::string_view enhanced, absl::string_view text) {
  const auto code = outcome::ParseEnhancedCode(enhanced);
  return FromUs(Kind::kPermanent, Scope::kRecipient, code.value_or(outcome::EnhancedCode{5, 7, 1}), text);
}

Outcome JudgePosted(const https::Answer& answer) {
  using https::Result;
  const auto later = [&](outcome::EnhancedCode code) {
    return FromUs(Kind::kTransient, Scope::kDomain, code, answer.why, answer.remote);
  };
  switch (answer.result) {
    case Result::kNoAddress: return later({4, 4, 3});
    case Result::kUnreachable: return later({4, 4, 1});
    case Result::kCertificate:
    case Result::kTls: return later({4, 7, 5});
    case Result::kHttp:
    case Result::kTimeout: return later({4, 4, 2});
    case Result::kCancelled: return JudgeStopped();
    case Result::kOk: break;
  }
  const std::string text = absl::StrCat("the answer to POST is ", answer.status);
  if (answer.success()) return EndedHere(text, Scope::kRecipient, answer.remote);
  // RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4: these ask for another try. A redirect is not followed.
  const bool later_perhaps =
      answer.status >= 500 || answer.status == 408 || answer.status == 425 || answer.status == 429;
  return FromUs(later_perhaps ? Kind::kTransient : Kind::kPermanent, Scope::kRecipient, {5, 5, 0}, text, answer.remote);
}

Outcome JudgeBadUrl(const absl::Status& why) {
  return FromUs(Kind::kPermanent, Scope::kRecipient, {5, 1, 3}, why.message());
}

Outcome JudgeStopped() {
  return FromUs(Kind::kTransient, Scope::kMessage, {4, 3, 2}, "this service stopped before it could try");
}

Outcome JudgeUntried(absl::string_view domain) {
  return FromUs(Kind::kTransient, Scope::kDomain, {4, 4, 1}, absl::StrCat("no mail host of ", domain, " was reached"));
}

v1::Outcome ToProto(const Outcome& outcome, absl::Time now) {
  v1::Outcome proto;
  proto.set_kind(KindToProto(outcome.kind));
  proto.set_scope(ScopeToProto(outcome.scope));
  proto.set_smtp_code(outcome.smtp_code);
  proto.set_enhanced_code(outcome.enhanced.ToString());
  const absl::string_view text = CutUtf8(outcome.text, kMaxProtoText);
  proto.set_text(text.data(), text.size());
  proto.set_remote_host(outcome.remote_host);
  const absl::string_view cls = outcome::BounceClassName(outcome.cls);
  proto.set_bounce_class(cls.data(), cls.size());
  proto.set_ambiguous(outcome.ambiguous);
  proto.set_reports_passed_on(outcome.reports_passed_on);
  proto.set_final_delivery(outcome.final_delivery);
  if (outcome.tls) *proto.mutable_tls() = TlsToProto(*outcome.tls);
  const timespec stamp = absl::ToTimespec(now);
  proto.mutable_time()->set_seconds(stamp.tv_sec);
  proto.mutable_time()->set_nanos(static_cast<std::int32_t>(stamp.tv_nsec));
  return proto;
}

}  // namespace hikyaku::delivery
