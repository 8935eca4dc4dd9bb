#include "lib/delivery/connection.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hikyaku::delivery {
namespace {

// A peer that stops reading a body has often said why; this long we listen for it.
constexpr absl::Duration kLastWords = absl::Seconds(5);

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
  const std::string address = absl::StrCat("[", endpoint.address.ToString(), "]:", endpoint.port);
  return absl::StartsWith(host, "[") ? address : absl::StrCat(host, " ", address);
}

Connection::Connection(ConnectionKey key, std::unique_ptr<net::Stream> stream, std::string helo,
                       const smtp::ClientTimeouts& timeouts)
    : key_(std::move(key)),
      remote_(RemoteText(key_.host, key_.endpoint)),
      stream_(std::move(stream)),
      timeouts_(timeouts),
      session_(std::move(helo)) {}

awaitable<void> Connection::Open() { co_await Drive(session_.Start(), nullptr); }

awaitable<bool> Connection::Transact(const smtp::Outgoing& mail, const LeaseGuard& lease) {
  ++messages;
  co_return co_await Drive(session_.Begin(mail), &lease);
}

awaitable<void> Connection::Quit() {
  co_await Drive(session_.Quit(), nullptr);
  Close();
}

awaitable<bool> Connection::StillOpen() {
  const auto got = co_await stream_->ReadSome(buffer_.data(), buffer_.size(), absl::ZeroDuration());
  co_return absl::IsDeadlineExceeded(got.status());
}

// The loop of client_session.h. False: the lease was lost before a write that commits.
awaitable<bool> Connection::Drive(Want want, const LeaseGuard* lease) {
  lost_ = absl::StatusCode::kOk;
  for (;;) {
    switch (want) {
      case Want::kWrite:
        if (lease != nullptr && session_.output_commits() && !lease->alive()) {
          Close();
          co_return false;
        }
        want = co_await WriteOutput();
        break;
      case Want::kRead: want = co_await ReadReply(timeouts_.For(session_.step())); break;
      case Want::kClose: Close(); co_return true;
      case Want::kIdle: co_return true;
    }
  }
}

awaitable<Connection::Want> Connection::WriteOutput() {
  const absl::Status written = co_await stream_->Write(session_.output(), timeouts_.For(session_.step()));
  if (written.ok()) co_return session_.OutputWritten();
  if (absl::IsCancelled(written)) co_return Lost(written);
  const Want want = co_await ReadReply(kLastWords);
  if (lost_ != absl::StatusCode::kOk) lost_ = written.code();
  co_return want;
}

awaitable<Connection::Want> Connection::ReadReply(absl::Duration limit) {
  const auto got = co_await stream_->ReadSome(buffer_.data(), buffer_.size(), limit);
  if (!got.ok()) co_return Lost(got.status());
  co_return session_.Feed(absl::string_view(buffer_.data(), *got));
}

Connection::Want Connection::Lost(const absl::Status& why) {
  lost_ = why.code();
  return session_.Lost(Reason(why));
}

}  // namespace hikyaku::delivery
