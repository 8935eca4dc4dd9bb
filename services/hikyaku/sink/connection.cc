#include "services/hikyaku/sink/connection.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/net/sleep.h"
#include "lib/tls/tls_stream.h"

namespace hikyaku::sink {
namespace {

constexpr absl::Duration kReadLimit = absl::Minutes(5);  // RFC 5321 §4.5.3.2.7.
constexpr absl::Duration kWriteLimit = absl::Minutes(1);
constexpr absl::Duration kHandshakeLimit = absl::Minutes(1);
constexpr std::size_t kBuffer = 64 << 10;

// Replies that wait to be written: those of one read go out together.
class Connection {
 public:
  Connection(const Shared* shared, std::unique_ptr<net::Stream> stream) : shared_(*shared), stream_(std::move(stream)) {}

  // Any status is the end; why, concerns nobody.
  awaitable<absl::Status> Run();

  void Close() {
    if (stream_ != nullptr) stream_->Close();
  }

 private:
  awaitable<absl::Status> Apply(Session& session, Session::Step step);
  awaitable<absl::Status> Secure(Session& session);
  awaitable<absl::Status> Flush();
  bool Keep(const Mail& mail);

  const Shared& shared_;
  std::unique_ptr<net::Stream> stream_;  // Null after a handshake that failed.
  std::string output_;
};

awaitable<absl::Status> Connection::Run() {
  ++shared_.keeper->counts().connections;
  Session session(shared_.options, shared_.rules, stream_->local(), [this](const Mail& mail) { return Keep(mail); });
  if (shared_.implicit_tls) CO_RETURN_IF_ERROR(co_await Secure(session));
  absl::Status status = co_await Apply(session, session.Start());
  std::vector<char> buffer(kBuffer);
  while (status.ok()) {
    status = co_await Flush();
    if (!status.ok()) break;
    const absl::StatusOr<std::size_t> n = co_await stream_->ReadSome(buffer.data(), buffer.size(), kReadLimit);
    if (!n.ok()) break;
    absl::string_view in(buffer.data(), *n);
    while (!in.empty() && status.ok()) status = co_await Apply(session, session.Take(&in));
  }
  shared_.keeper->counts().refused += session.refused();
  co_return status;
}

awaitable<absl::Status> Connection::Secure(Session& session) {
  CO_RETURN_IF_ERROR(co_await Flush());
  tls::Handshake shaken = co_await tls::HandshakeAsServer(shared_.tls, std::move(stream_), kHandshakeLimit);
  if (shaken.stream == nullptr) co_return shaken.status;
  session.Secured(absl::StrCat(shaken.stream->info().version, " ", shaken.stream->info().cipher));
  stream_ = std::move(shaken.stream);
  co_return absl::OkStatus();
}

awaitable<absl::Status> Connection::Apply(Session& session, Session::Step step) {
  if (step.delay > absl::ZeroDuration()) {
    CO_RETURN_IF_ERROR(co_await Flush());
    CO_RETURN_IF_ERROR(co_await net::Sleep(step.delay));
  }
  if (step.drop) {
    ++shared_.keeper->counts().dropped;
    co_return absl::AbortedError("dropped");
  }
  output_ += step.output;
  if (step.close) {
    CO_RETURN_IF_ERROR(co_await Flush());
    co_return absl::OutOfRangeError("closed");
  }
  if (step.starttls) CO_RETURN_IF_ERROR(co_await Secure(session));
  co_return absl::OkStatus();
}

awaitable<absl::Status> Connection::Flush() {
  if (output_.empty()) co_return absl::OkStatus();
  const std::string output = std::exchange(output_, "");
  co_return co_await stream_->WriteAll(output, kWriteLimit);
}

bool Connection::Keep(const Mail& mail) {
  const absl::Status kept = shared_.keeper->Keep(mail, stream_->local(), stream_->remote());
  if (!kept.ok()) log::Error("sink: mail not kept", {{"error", kept}});
  return kept.ok();
}

}  // namespace

awaitable<void> Serve(const Shared* shared, std::unique_ptr<net::Stream> stream) {
  Connection connection(shared, std::move(stream));
  const absl::Status ended = co_await connection.Run();
  connection.Close();
}

}  // namespace hikyaku::sink
