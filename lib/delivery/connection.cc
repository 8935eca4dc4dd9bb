#include "lib/delivery/connection.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/delivery/dane.h"
#include "lib/metrics/metrics.h"
#include "lib/net/deadline.h"
#include "lib/net/limit.h"

namespace hikyaku::delivery {
namespace {

// A peer that stops reading a body has often said why; this long we listen for it.
constexpr absl::Duration kLastWords = absl::Seconds(5);

// The word that TLS ends: the kernel's buffer takes it, or it is not worth a wait.
constexpr absl::Duration kLastWrite = absl::Seconds(1);

// Writes up to here need no timer of their own: the kernel's buffer takes them in a few steps, however slowly the peer
// reads.
constexpr std::size_t kFewSteps = 16 * 1024;

metrics::Counter& Handshakes(const std::string& result) {
  return metrics::DeclareCounter(
      "hikyaku_tls_handshakes_total",
      "TLS with mail hosts: verified (by the rules of the policy or without being asked to), "
      "unverified (encrypted all the same), unproved (refused by us: the policy asks for "
      "proof), failed, denied (required, but the host has no STARTTLS).",
      {{"result", result}});
}

struct Metrics {
  metrics::Counter& verified = Handshakes("verified");
  metrics::Counter& unverified = Handshakes("unverified");
  metrics::Counter& unproved = Handshakes("unproved");
  metrics::Counter& failed = Handshakes("failed");
  metrics::Counter& denied = Handshakes("denied");
  metrics::Counter& resumed = metrics::DeclareCounter("hikyaku_tls_sessions_resumed_total",
                                                      "Handshakes with mail hosts that resumed a session.");
};

Metrics& Count() {
  static Metrics* const metrics = new Metrics;
  return *metrics;
}

smtp::StartTls StartTlsFor(const TlsDemand& demand) {
  if (demand.implicit || demand.level == TlsLevel::kNone) return smtp::StartTls::kNever;
  return demand.level == TlsLevel::kOpportunistic ? smtp::StartTls::kIfOffered : smtp::StartTls::kRequired;
}

// What goes into verdicts: "timeout" and the like, without the words of the stream.
absl::string_view Reason(const absl::Status& why) {
  switch (why.code()) {
    case absl::StatusCode::kDeadlineExceeded: return "timeout";
    case absl::StatusCode::kOutOfRange: return "closed by the peer";
    case absl::StatusCode::kCancelled: return "stopped by us";
    default: return why.message();
  }
}

}  // namespace

std::string RemoteText(absl::string_view host, const net::Endpoint& endpoint) {
  if (absl::StartsWith(host, "unix:")) return std::string(host);
  const std::string address = absl::StrCat("[", endpoint.address.ToString(), "]:", endpoint.port);
  return absl::StartsWith(host, "[") ? address : absl::StrCat(host, " ", address);
}

Connection::Connection(ConnectionKey key, std::unique_ptr<net::Stream> stream, std::string helo,
                       const smtp::ClientTimeouts& timeouts, std::shared_ptr<const tls::ClientContext> tls)
    : key_(std::move(key)),
      remote_(RemoteText(key_.host, key_.endpoint)),
      local_(stream->local()),
      tls_context_(std::move(tls)),
      stream_(std::move(stream)),
      timeouts_(timeouts),
      session_(std::move(helo), key_.protocol) {}

awaitable<void> Connection::Open() {
  if (key_.tls.implicit) {
    const absl::Status encrypted = co_await Encrypt();
    if (!encrypted.ok()) co_return;
  }
  co_await Drive(session_.Start(StartTlsFor(key_.tls)), nullptr);
  if (session_.tls_denied()) tls_failure_ = TlsFailure{TlsFailure::What::kDenied, *session_.tls_denied()};
  if (tls_failure_ && tls_failure_->what == TlsFailure::What::kDenied) Count().denied.Increment();
}

// The stream that was is gone with what it held: nothing of the clear text is ever read again.
awaitable<absl::Status> Connection::Encrypt() {
  tls::PeerPolicy policy;
  policy.dane = key_.tls.dane;
  policy.host = policy.dane ? policy.dane->base : key_.host;
  policy.enforce = key_.tls.level >= TlsLevel::kVerify;
  tls::Handshake shaken =
      co_await tls::HandshakeAsClient(tls_context_, std::move(stream_), std::move(policy), timeouts_.tls);
  if (!shaken.status.ok()) {
    lost_ = shaken.status.code();
    if (cancelled()) co_return shaken.status;
    const bool unproved = absl::IsFailedPrecondition(shaken.status);
    (unproved ? Count().unproved : Count().failed).Increment();
    if (unproved && key_.tls.dane) CountDane(DaneResult::kMismatch);
    tls_failure_ = TlsFailure{unproved ? TlsFailure::What::kUnproved : TlsFailure::What::kHandshake,
                              std::string(Reason(shaken.status)), shaken.proof.flaw};
    co_return shaken.status;
  }
  (shaken.proof.verified ? Count().verified : Count().unverified).Increment();
  if (key_.tls.dane) CountDane(DaneResult::kOk);
  if (shaken.stream->info().resumed) Count().resumed.Increment();
  tls_info_ = shaken.stream->info();
  tls_stream_ = shaken.stream.get();
  stream_ = std::move(shaken.stream);
  co_return absl::OkStatus();
}

awaitable<Connection::Want> Connection::BeginTls() {
  const absl::Status encrypted = co_await Encrypt();
  reply_due_.reset();
  co_return encrypted.ok() ? session_.TlsBegun() : session_.Lost(Reason(encrypted));
}

awaitable<bool> Connection::Transact(const smtp::Outgoing& mail, const LeaseGuard& lease) {
  ++messages;
  co_return co_await Drive(session_.Begin(mail), &lease);
}

awaitable<void> Connection::Authenticate(smtp::SaslClient* sasl) {
  co_await Drive(session_.Authenticate(sasl), nullptr);
}

awaitable<void> Connection::Quit() {
  co_await Drive(session_.Quit(), nullptr);
  Close();
}

bool Connection::StillOpen() {
  const absl::StatusOr<std::size_t> got = stream_->ReadArrived(buffer_.data(), buffer_.size());
  return got.ok() && *got == 0;
}

// The loop of client_session.h. False: the lease was lost before a write that commits.
awaitable<bool> Connection::Drive(Want want, const LeaseGuard* lease) {
  lost_ = absl::StatusCode::kOk;
  reply_due_.reset();
  for (;;) {
    switch (want) {
      case Want::kWrite:
        if (lease != nullptr && session_.output_commits() && !lease->alive()) {
          Close();
          co_return false;
        }
        want = co_await WriteOutput();
        reply_due_.reset();
        break;
      case Want::kRead: want = co_await ReadReply(LeftForReply()); break;
      case Want::kTls: want = co_await BeginTls(); break;
      case Want::kClose:
        if (tls_stream_ != nullptr && lost_ == absl::StatusCode::kOk) co_await tls_stream_->SayEnd(kLastWrite);
        Close();
        co_return true;
      case Want::kIdle: co_return true;
    }
  }
}

awaitable<Connection::Want> Connection::WriteOutput() {
  const absl::Status written = co_await WriteWithin(timeouts_.For(session_.step()));
  if (written.ok()) co_return session_.OutputWritten();
  if (absl::IsCancelled(written)) co_return Lost(written);
  const Want want = co_await ReadReply(kLastWords);
  if (lost_ != absl::StatusCode::kOk) lost_ = written.code();
  co_return want;
}

// The stream's own limit is renewed whenever something moves.
awaitable<absl::Status> Connection::WriteWithin(absl::Duration limit) {
  std::size_t size = 0;
  for (const absl::string_view piece : session_.output()) size += piece.size();
  if (size <= kFewSteps) co_return co_await stream_->Write(session_.output(), limit);
  co_return co_await net::WithDeadline(limit, stream_->Write(session_.output(), limit));
}

absl::Duration Connection::LeftForReply() {
  if (reply_due_) return net::LeftUntil(*reply_due_);
  const absl::Duration limit = timeouts_.For(session_.step());
  reply_due_ = net::SteadyAfter(limit);
  return limit;
}

awaitable<Connection::Want> Connection::ReadReply(absl::Duration limit) {
  if (limit <= absl::ZeroDuration()) co_return Lost(absl::DeadlineExceededError("the reply is late"));
  const auto got = co_await stream_->ReadSome(buffer_.data(), buffer_.size(), limit);
  if (!got.ok()) co_return Lost(got.status());
  const std::uint64_t before = session_.replies();
  const Want want = session_.Feed(absl::string_view(buffer_.data(), *got));
  if (session_.replies() != before) reply_due_.reset();
  co_return want;
}

Connection::Want Connection::Lost(const absl::Status& why) {
  lost_ = why.code();
  return session_.Lost(Reason(why));
}

}  // namespace hikyaku::delivery
