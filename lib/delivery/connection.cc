#include "lib/delivery/connection.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/net/deadline.h"
#include "lib/net/limit.h"

namespace hikyaku::delivery {
namespace {

// A peer that stops reading a body has often said why; this long we listen for it.
constexpr absl::Duration kLastWords = absl::Seconds(5);

// Writes up to here need no timer of their own: the kernel's buffer takes them in a few steps, however slowly the peer
// reads.
constexpr std::size_t kFewSteps = 16 * 1024;

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
                       const smtp::ClientTimeouts& timeouts)
    : key_(std::move(key)),
      remote_(RemoteText(key_.host, key_.endpoint)),
      stream_(std::move(stream)),
      timeouts_(timeouts),
      session_(std::move(helo), key_.protocol) {}

awaitable<void> Connection::Open() { co_await Drive(session_.Start(), nullptr); }

awaitable<bool> Connection::Transact(const smtp::Outgoing& mail, const LeaseGuard& lease) {
  ++messages;
  co_return co_await Drive(session_.Begin(mail), &lease);
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
      case Want::kClose: Close(); co_return true;
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
