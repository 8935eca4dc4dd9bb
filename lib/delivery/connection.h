// One SMTP connection to a host: the pure session joined to a stream, with a limit on every reply and every write. It
// holds for the whole of it: a peer that sends a reply, or takes a block, octet by octet gains no time.
// Where its demand asks for it, the stream becomes TLS at the session's word (STARTTLS) or before the first octet.
//
// Source:     RFC 5321 §4.5.3.2 (limits, by step), RFC 3207, RFC 8314.
// Threading:  one owner at a time, on the executor that dialled it.
#ifndef HIKYAKU_LIB_DELIVERY_CONNECTION_H_
#define HIKYAKU_LIB_DELIVERY_CONNECTION_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/delivery/tls_demand.h"
#include "lib/net/asio.h"
#include "lib/net/endpoint.h"
#include "lib/net/stream.h"
#include "lib/net/timer.h"
#include "lib/smtp/client_session.h"
#include "lib/smtp/client_timeouts.h"
#include "lib/tls/context.h"
#include "lib/tls/tls_stream.h"

namespace hikyaku::delivery {

// Connections are alike, and one may be used for the other, when all of this is equal.
struct ConnectionKey {
  std::string host;  // The next hop's name: what TLS must prove.
  net::Endpoint endpoint;
  std::optional<address::IpAddress> source;
  smtp::Protocol protocol = smtp::Protocol::kSmtp;
  TlsDemand tls;
  std::string via;          // The source by its name: it has an EHLO name, and perhaps a proxy, of its own.
  std::uint64_t login = 0;  // Whose password was shown (Login::Ready::id); 0: nobody's.

  bool operator==(const ConnectionKey&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const ConnectionKey& key) {
    h = H::combine(std::move(h), key.host, key.endpoint.address, key.endpoint.port, key.source.has_value(),
                   key.protocol, key.tls, key.via, key.login);
    return key.source ? H::combine(std::move(h), *key.source) : std::move(h);
  }
};

// Says whether the worker still holds the lease of what it sends.
class LeaseGuard {
 public:
  virtual ~LeaseGuard() = default;

  // Right before the first transaction. False: the lease is gone, do not begin. After true, a stop waits for the
  // attempt.
  virtual bool Begin() = 0;

  // Right before the write after which the peer may take the mail.
  virtual bool alive() const = 0;
};

class Connection {
 public:
  // `timeouts` outlives the connection. `tls` may be null where the key's demand is kNone.
  Connection(ConnectionKey key, std::unique_ptr<net::Stream> stream, std::string helo,
             const smtp::ClientTimeouts& timeouts, std::shared_ptr<const tls::ClientContext> tls = nullptr);

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Reads the greeting, says EHLO, and brings about the TLS that the key's demand asks for. When it returns,
  // session().reusable() tells whether the host is ready; else tls_failure(), session().refusal() or broke() tells why
  // not.
  awaitable<void> Open();

  // Makes one transaction; its result is in session(). False: the lease was lost before the end of the body was
  // written. Then the connection is closed and nothing was delivered.
  awaitable<bool> Transact(const smtp::Outgoing& mail, const LeaseGuard& lease);

  // Logs in, before the first transaction. After it session().reusable() tells whether the host has agreed; else its
  // refusal() or broke() tells why not. `sasl` outlives the call.
  awaitable<void> Authenticate(smtp::SaslClient* sasl);

  // Sends QUIT, waits for its answer within the limit, closes.
  awaitable<void> Quit();

  // For a connection that was idle: false when the peer has closed it, or has said something meanwhile (a 421).
  // Does not wait: cheap enough for each reuse.
  bool StillOpen();

  void Close() {
    if (stream_ != nullptr) stream_->Close();
  }

  const ConnectionKey& key() const { return key_; }
  const std::string& remote() const { return remote_; }  // "mx1.example.net [192.0.2.1]:25"
  const net::Endpoint& local() const { return local_; }
  smtp::ClientSession& session() { return session_; }

  // Nothing: clear text.
  const std::optional<tls::TlsInfo>& tls() const { return tls_info_; }

  // Why the connection is not what its demand asks for.
  const std::optional<TlsFailure>& tls_failure() const { return tls_failure_; }

  // The last wait ended because the peer closed or reset the connection; because our task was cancelled.
  bool peer_closed() const { return lost_ == absl::StatusCode::kOutOfRange || lost_ == absl::StatusCode::kUnavailable; }
  bool cancelled() const { return lost_ == absl::StatusCode::kCancelled; }

  // Kept by the pool.
  int messages = 0;  // Transactions made so far.
  absl::Time idle_since;

 private:
  using Want = smtp::ClientSession::Want;

  awaitable<bool> Drive(Want want, const LeaseGuard* lease);
  awaitable<absl::Status> Encrypt();
  awaitable<Want> BeginTls();
  awaitable<Want> WriteOutput();
  awaitable<absl::Status> WriteWithin(absl::Duration limit);
  awaitable<Want> ReadReply(absl::Duration limit);
  absl::Duration LeftForReply();
  Want Lost(const absl::Status& why);

  const ConnectionKey key_;
  const std::string remote_;
  const net::Endpoint local_;
  const std::shared_ptr<const tls::ClientContext> tls_context_;
  std::unique_ptr<net::Stream> stream_;   // Null after a handshake that failed.
  tls::TlsStream* tls_stream_ = nullptr;  // The same as stream_, where it is TLS.
  std::optional<tls::TlsInfo> tls_info_;
  std::optional<TlsFailure> tls_failure_;
  const smtp::ClientTimeouts& timeouts_;
  smtp::ClientSession session_;
  std::optional<net::TimePoint> reply_due_;  // When the reply that is awaited is late.
  absl::StatusCode lost_ = absl::StatusCode::kOk;
  std::array<char, 2048> buffer_;
};

// "mx1.example.net [192.0.2.1]:25"; for a literal host "[192.0.2.1]:25"; for a socket "unix:/run/lmtp".
std::string RemoteText(absl::string_view host, const net::Endpoint& endpoint);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_CONNECTION_H_
