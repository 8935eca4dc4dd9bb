// What the sender's word on TLS makes of an attempt (RFC 8689), and what is noted of it for reports on TLS (RFC 8460).
#include "lib/delivery/attempt.h"

namespace hikyaku::delivery {

awaitable<absl::Status> Attempt::ChoosePolicy(const PlannedHost& host) {
  // dane_only is the operator's word, though DNS fills it in.
  const bool dane_only = ChooseTls(env_.network->tls, hop_).demand.level == TlsLevel::kDaneOnly;
  if (wish_ == TlsWish::kWaived && !dane_only) {
    policy_ = WaivedPolicy(env_.network->tls, hop_);
    co_return absl::OkStatus();
  }
  auto policy = co_await tls_.For(host);
  if (!policy.ok()) co_return policy.status();
  policy_ = *std::move(policy);
  if (wish_ == TlsWish::kRequired) RequireProof(host, hop_, &policy_);
  certain_name_ = HasCertainName(host, hop_, policy_);
  co_return absl::OkStatus();
}

// §2: only in a session that is all that a mail which requires TLS asks for.
bool Attempt::SaysRequireTls(const Connection& connection) const {
  if (wish_ == TlsWish::kRequired) return true;
  return wish_ == TlsWish::kWhereOffered && certain_name_ && connection.tls() && connection.tls()->proof.verified;
}

// True: the mail must not go over this connection, and that is noted.
bool Attempt::LacksRequireTls(Connection& connection) {
  if (wish_ != TlsWish::kRequired) return false;
  const bool proven = connection.tls() && connection.tls()->proof.verified;
  if (proven && connection.session().extensions().requiretls) return false;
  lacks_requiretls_ = true;
  NotePending(JudgeNoRequireTls(connection.remote()));
  return true;
}

// All hosts were asked. §4.2.1: where none of them failed for another reason, nothing is to be waited for.
void Attempt::SettleRequireTls() {
  if (!any_lacks_requiretls_ || other_failed_ || plan_.trouble() || budget_.exhausted()) return;
  Settle(Pending(), JudgeRequireTlsNowhere(lease_.delivery.domain()));
}

// A policy that cannot be had lets the session pass, and is told of beside it (RFC 8460 §4.3.2.2).
void Attempt::NoteTlsSession(Connection& connection, bool proxied) {
  if (!tls_log_.Note(connection, policy_, proxied)) return;
  if (const auto& sts = tls_.sts(); sts && sts->kept == nullptr) tls_log_.NoteStsTrouble(sts->trouble, sts->why);
}

}  // namespace hikyaku::delivery
