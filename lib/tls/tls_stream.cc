// The library sees two buffers in memory, what the peer sent and what it is to get; this file carries bytes between
// them and the stream below.
#include "lib/tls/tls_stream.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/net/limit.h"
#include "lib/tls/pem.h"
#include "lib/tls/session_cache.h"
#include "openssl/bio.h"
#include "openssl/err.h"
#include "openssl/pool.h"
#include "openssl/ssl.h"
#include "openssl/stack.h"

namespace hikyaku::tls {
namespace {

constexpr std::size_t kReadSize = 8 * 1024;
constexpr std::size_t kRecord = 16 * 1024;       // RFC 8446 §5.1: the most that one record carries.
constexpr std::size_t kFlushAfter = 256 * 1024;  // Ciphertext that is gathered for one write below.

int StreamIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// What went wrong in a call of the library, which noted more on this thread.
absl::Status Explain(int error) {
  const std::string why = TakeError();
  switch (error) {
    case SSL_ERROR_ZERO_RETURN: return absl::OutOfRangeError("the peer ended the TLS connection");
    case SSL_ERROR_SYSCALL: return absl::UnavailableError("the TLS connection was cut");
    default: return absl::InvalidArgumentError(absl::StrCat("TLS: ", why.empty() ? "failed" : why));
  }
}

std::vector<absl::string_view> ChainOf(const SSL* ssl) {
  std::vector<absl::string_view> chain;
  const STACK_OF(CRYPTO_BUFFER)* const sent = SSL_get0_peer_certificates(ssl);
  for (std::size_t i = 0; sent != nullptr && i < sk_CRYPTO_BUFFER_num(sent); ++i) {
    const CRYPTO_BUFFER* const one = sk_CRYPTO_BUFFER_value(sent, i);
    chain.emplace_back(reinterpret_cast<const char*>(CRYPTO_BUFFER_data(one)), CRYPTO_BUFFER_len(one));
  }
  return chain;
}

std::uint8_t AlertFor(Flaw flaw) {
  switch (flaw) {
    case Flaw::kExpired: return SSL_AD_CERTIFICATE_EXPIRED;
    case Flaw::kNotTrusted: return SSL_AD_UNKNOWN_CA;
    default: return SSL_AD_BAD_CERTIFICATE;
  }
}

}  // namespace

// The callback of the library, and the makers of streams.
struct HandshakeAccess {
  static ssl_verify_result_t Verify(SSL* ssl, std::uint8_t* alert) {
    auto* const stream = static_cast<TlsStream*>(SSL_get_ex_data(ssl, StreamIndex()));
    const ClientContext& context = *stream->client_;
    PeerProof& proof = stream->info_.proof;
    proof = JudgePeer(ChainOf(ssl), stream->policy_, context.roots(), context.clock().Now());
    if (proof.verified || !stream->policy_.enforce) return ssl_verify_ok;
    *alert = AlertFor(proof.flaw);
    return ssl_verify_invalid;
  }

  static std::unique_ptr<TlsStream> Client(std::shared_ptr<const ClientContext> context,
                                           std::unique_ptr<net::Stream> under, PeerPolicy policy) {
    SSL* const ssl = SSL_new(context->raw());
    SSL_set_connect_state(ssl);
    SSL_set_custom_verify(ssl, SSL_VERIFY_PEER, Verify);
    if (!absl::StartsWith(policy.host, "[")) SSL_set_tlsext_host_name(ssl, policy.host.c_str());
    auto slot = std::make_unique<SessionSlot>(SessionSlot{context->sessions(), policy.CacheKey()});
    if (const auto session = slot->cache.Take(slot->key)) SSL_set_session(ssl, session.get());
    SetSessionSlot(ssl, slot.get());
    auto stream = Make(ssl, std::move(under), std::move(policy), std::move(context));
    stream->slot_ = std::move(slot);
    return stream;
  }

  static std::unique_ptr<TlsStream> Server(const ServerContext& context, std::unique_ptr<net::Stream> under) {
    SSL* const ssl = SSL_new(context.raw());
    SSL_set_accept_state(ssl);
    return Make(ssl, std::move(under), {}, nullptr);
  }

  static std::unique_ptr<TlsStream> Make(SSL* ssl, std::unique_ptr<net::Stream> under, PeerPolicy policy,
                                         std::shared_ptr<const ClientContext> client) {
    BIO* const in = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);  // Empty: more may come.
    SSL_set_bio(ssl, in, BIO_new(BIO_s_mem()));
    std::unique_ptr<TlsStream> stream(new TlsStream(ssl, std::move(under), std::move(policy), std::move(client)));
    SSL_set_ex_data(ssl, StreamIndex(), stream.get());
    return stream;
  }

  static awaitable<Handshake> Run(std::unique_ptr<TlsStream> stream, absl::Duration limit) {
    Handshake result;
    result.status = co_await stream->Shake(limit);
    result.proof = stream->info_.proof;
    if (result.status.ok()) {
      result.stream = std::move(stream);
    } else if (result.proof.flaw != Flaw::kNone && stream->policy_.enforce) {
      result.status = absl::FailedPreconditionError(result.proof.why);
    }
    co_return result;
  }
};

TlsStream::TlsStream(ssl_st* ssl, std::unique_ptr<net::Stream> under, PeerPolicy policy,
                     std::shared_ptr<const ClientContext> client)
    : ssl_(ssl),
      under_(std::move(under)),
      policy_(std::move(policy)),
      client_(std::move(client)),
      received_(kReadSize) {}

TlsStream::~TlsStream() { SSL_free(ssl_); }

// Every read gets what is left of the limit: a peer that sends octet by octet gains no time.
awaitable<absl::Status> TlsStream::Shake(absl::Duration limit) {
  const net::TimePoint due = net::SteadyAfter(limit);
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_);
    const int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_, done);
    const bool going_on = error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ;
    const absl::Status failed = going_on ? absl::OkStatus() : Explain(error);
    const absl::Status flushed = co_await Flush(std::max(net::LeftUntil(due), absl::ZeroDuration()));
    if (!failed.ok()) co_return failed;  // The alert that tells the peer may or may not have gone out.
    CO_RETURN_IF_ERROR(flushed);
    if (done == 1) break;
    const absl::Duration left = net::LeftUntil(due);
    if (left <= absl::ZeroDuration()) co_return absl::DeadlineExceededError("the TLS handshake took too long");
    CO_ASSIGN_OR_RETURN(const std::size_t count, co_await under_->ReadSome(received_.data(), received_.size(), left));
    Take(count);
  }
  FillInfo();
  co_return absl::OkStatus();
}

void TlsStream::FillInfo() {
  info_.version = SSL_get_version(ssl_);
  info_.cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl_));
  const char* const group = SSL_get_curve_name(SSL_get_curve_id(ssl_));
  if (group != nullptr) info_.group = group;
  info_.resumed = SSL_session_reused(ssl_) == 1;
}

void TlsStream::Take(std::size_t count) { BIO_write(SSL_get_rbio(ssl_), received_.data(), static_cast<int>(count)); }

// Writes below what the library has made.
awaitable<absl::Status> TlsStream::Flush(absl::Duration limit) {
  BIO* const out = SSL_get_wbio(ssl_);
  const std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  if (!BIO_mem_contents(out, &bytes, &size) || size == 0) co_return absl::OkStatus();
  sending_.assign(reinterpret_cast<const char*>(bytes), size);
  BIO_reset(out);
  co_return co_await under_->WriteAll(sending_, limit);
}

// 0: more of the peer's bytes are needed.
absl::StatusOr<std::size_t> TlsStream::ReadDecrypted(char* into, std::size_t size) {
  ERR_clear_error();
  const int count = SSL_read(ssl_, into, static_cast<int>(std::min<std::size_t>(size, kRecord)));
  if (count > 0) return static_cast<std::size_t>(count);
  const int error = SSL_get_error(ssl_, count);
  if (error == SSL_ERROR_WANT_READ) return std::size_t{0};
  const absl::Status why = Explain(error);
  return absl::IsInvalidArgument(why) ? absl::UnavailableError(why.message()) : why;
}

awaitable<absl::StatusOr<std::size_t>> TlsStream::ReadSome(char* into, std::size_t size, absl::Duration limit) {
  const net::TimePoint due = net::SteadyAfter(limit);
  for (;;) {
    const absl::StatusOr<std::size_t> decrypted = ReadDecrypted(into, size);
    if (!decrypted.ok() || *decrypted > 0) co_return decrypted;
    const absl::Duration left = std::max(net::LeftUntil(due), absl::ZeroDuration());
    const auto got = co_await under_->ReadSome(received_.data(), received_.size(), left);
    // Without the peer's word that this is the end, something may have been cut off.
    if (absl::IsOutOfRange(got.status())) co_return absl::UnavailableError("the TLS connection was cut");
    if (!got.ok()) co_return got.status();
    Take(*got);
  }
}

absl::StatusOr<std::size_t> TlsStream::ReadArrived(char* into, std::size_t size) {
  for (;;) {
    const absl::StatusOr<std::size_t> decrypted = ReadDecrypted(into, size);
    if (!decrypted.ok() || *decrypted > 0) return decrypted;
    ASSIGN_OR_RETURN(const std::size_t count, under_->ReadArrived(received_.data(), received_.size()));
    if (count == 0) return std::size_t{0};
    Take(count);
  }
}

// Small pieces share a record.
awaitable<absl::Status> TlsStream::Write(absl::Span<const absl::string_view> pieces, absl::Duration limit) {
  std::string record;
  for (absl::string_view piece : pieces) {
    while (!piece.empty()) {
      const absl::string_view part = piece.substr(0, kRecord - record.size());
      record.append(part.data(), part.size());
      piece.remove_prefix(part.size());
      if (record.size() < kRecord) continue;
      CO_RETURN_IF_ERROR(Encrypt(&record));
      if (BIO_pending(SSL_get_wbio(ssl_)) >= kFlushAfter) CO_RETURN_IF_ERROR(co_await Flush(limit));
    }
  }
  CO_RETURN_IF_ERROR(Encrypt(&record));
  co_return co_await Flush(limit);
}

// Empties `record`.
absl::Status TlsStream::Encrypt(std::string* record) {
  if (record->empty()) return absl::OkStatus();
  ERR_clear_error();
  const int written = SSL_write(ssl_, record->data(), static_cast<int>(record->size()));
  if (written <= 0) return absl::UnavailableError(Explain(SSL_get_error(ssl_, written)).message());
  record->clear();
  return absl::OkStatus();
}

awaitable<void> TlsStream::SayEnd(absl::Duration limit) {
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
  const absl::Status said = co_await Flush(limit);
  static_cast<void>(said);  // Whoever has gone needs no word.
}

awaitable<Handshake> HandshakeAsClient(std::shared_ptr<const ClientContext> context, std::unique_ptr<net::Stream> under,
                                       PeerPolicy policy, absl::Duration limit) {
  std::unique_ptr<TlsStream> stream = HandshakeAccess::Client(std::move(context), std::move(under), std::move(policy));
  co_return co_await HandshakeAccess::Run(std::move(stream), limit);
}

awaitable<Handshake> HandshakeAsServer(std::shared_ptr<const ServerContext> context, std::unique_ptr<net::Stream> under,
                                       absl::Duration limit) {
  std::unique_ptr<TlsStream> stream = HandshakeAccess::Server(*context, std::move(under));
  co_return co_await HandshakeAccess::Run(std::move(stream), limit);
}

}  // namespace hikyaku::tls
