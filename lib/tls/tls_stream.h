// TLS as a Stream on top of another Stream: over TCP, and over memory in tests and simulations.
//
// Source:     RFC 8446, RFC 5246, RFC 3207 (STARTTLS: what was read before the handshake is not for this stream).
// Non-goals:  0-RTT, renegotiation, client certificates, ALPN.
// Threading:  as Stream. One stream is of one executor.
//
// Reading never writes below: what the peer's records ask for (the answer to a KeyUpdate) goes out with the next write.
// So a ReadSome and a Write may wait at the same time, as on any Stream.
#ifndef HIKYAKU_LIB_TLS_TLS_STREAM_H_
#define HIKYAKU_LIB_TLS_TLS_STREAM_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/net/asio.h"
#include "lib/net/stream.h"
#include "lib/tls/context.h"
#include "lib/tls/peer_policy.h"

struct ssl_st;

namespace hikyaku::tls {

struct SessionSlot;

// What a handshake came to.
struct TlsInfo {
  std::string version;  // "TLSv1.3".
  std::string cipher;   // "TLS_AES_128_GCM_SHA256".
  std::string group;    // "X25519"; empty where none was used.
  bool resumed = false;
  PeerProof proof;  // Of a server; a client proves nothing.
};

class TlsStream : public net::Stream {
 public:
  ~TlsStream() override;

  const TlsInfo& info() const { return info_; }

  awaitable<absl::StatusOr<std::size_t>> ReadSome(char* into, std::size_t size, absl::Duration limit) override;
  absl::StatusOr<std::size_t> ReadArrived(char* into, std::size_t size) override;
  awaitable<absl::Status> Write(absl::Span<const absl::string_view> pieces, absl::Duration limit) override;

  // Says that nothing more follows (close_notify), so that the peer knows that nothing was cut off. Then Close.
  awaitable<void> SayEnd(absl::Duration limit);

  void Close() override { under_->Close(); }
  const net::Endpoint& remote() const override { return under_->remote(); }
  const net::Endpoint& local() const override { return under_->local(); }

 private:
  friend struct HandshakeAccess;

  TlsStream(ssl_st* ssl, std::unique_ptr<net::Stream> under, PeerPolicy policy,
            std::shared_ptr<const ClientContext> client);

  awaitable<absl::Status> Shake(absl::Duration limit);
  awaitable<absl::Status> Flush(absl::Duration limit);
  absl::Status Encrypt(std::string* record);
  absl::StatusOr<std::size_t> ReadDecrypted(char* into, std::size_t size);
  void Take(std::size_t count);
  void FillInfo();

  ssl_st* const ssl_;
  const std::unique_ptr<net::Stream> under_;
  const PeerPolicy policy_;
  const std::shared_ptr<const ClientContext> client_;  // Null for a server.
  std::unique_ptr<SessionSlot> slot_;                  // The same.
  TlsInfo info_;
  std::vector<char> received_;  // Where bytes of the peer stand between the stream below and the library.
  std::string sending_;         // What is being written below.
};

// The result of a handshake: a stream, or why there is none. `proof` says what the certificate proved, as far as the
// handshake came.
struct Handshake {
  std::unique_ptr<TlsStream> stream;
  absl::Status status;
  PeerProof proof;
};

// Takes over `under`, and closes it where the handshake fails. `limit` is for the whole of it.
//
// Errors, and what the caller does next:
//   kFailedPrecondition  The peer did not prove what `policy` asks for; `proof` says what. Another host may.
//   kInvalidArgument     The peer speaks no TLS, or none that we do; an alert came.        Another host may.
//   kUnavailable, kOutOfRange, kDeadlineExceeded, kCancelled                               As of Stream.
awaitable<Handshake> HandshakeAsClient(std::shared_ptr<const ClientContext> context, std::unique_ptr<net::Stream> under,
                                       PeerPolicy policy, absl::Duration limit);
awaitable<Handshake> HandshakeAsServer(std::shared_ptr<const ServerContext> context, std::unique_ptr<net::Stream> under,
                                       absl::Duration limit);

}  // namespace hikyaku::tls

#endif  // HIKYAKU_LIB_TLS_TLS_STREAM_H_
