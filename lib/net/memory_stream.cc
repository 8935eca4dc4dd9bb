#include "lib/net/memory_stream.h"

#include <algorithm>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/base/status_macros.h"
#include "lib/net/limit.h"

namespace hikyaku::net {

// One direction. A waiting end sleeps on its timer, and the other end cancels that timer when something changed.
struct MemoryStream::Pipe {
  explicit Pipe(const Executor& executor) : readable(executor), writable(executor) {}

  void Close() {
    closed = true;
    readable.cancel();
    writable.cancel();
  }

  std::string bytes;    // Written and not yet read; at most kWindow.
  bool closed = false;  // By either end.
  Timer readable;
  Timer writable;
};

struct MemoryStream::Fault {
  std::size_t after;
  absl::Status status;
};

namespace {

// Sleeps until the other end cancels `changed`. Not ok when the limit passed or the task was cancelled.
awaitable<absl::Status> WaitForChange(Timer& changed, TimePoint deadline) {
  const auto task = co_await asio::this_coro::cancellation_state;
  if (task.cancelled() != asio::cancellation_type::none) co_return absl::CancelledError("the task was cancelled");
  changed.expires_at(deadline);
  const auto [error] = co_await changed.async_wait(kNoThrow);
  if (!error) co_return absl::DeadlineExceededError("nothing moved");
  co_return absl::OkStatus();  // Woken, or cancelled: then the next call says so.
}

}  // namespace

MemoryStream::MemoryStream(std::shared_ptr<Pipe> in, std::shared_ptr<Pipe> out, Endpoint local, Endpoint remote)
    : in_(std::move(in)), out_(std::move(out)), local_(local), remote_(remote) {}

MemoryStream::~MemoryStream() { Close(); }

awaitable<absl::StatusOr<std::size_t>> MemoryStream::ReadSome(char* into, std::size_t size, absl::Duration limit) {
  const TimePoint deadline = SteadyAfter(limit);
  const auto pipe = in_;
  while (true) {
    const absl::StatusOr<std::size_t> count = ReadArrived(into, size);
    if (!count.ok() || *count > 0) co_return count;
    CO_RETURN_IF_ERROR(co_await WaitForChange(pipe->readable, deadline));
  }
}

absl::StatusOr<std::size_t> MemoryStream::ReadArrived(char* into, std::size_t size) {
  if (closed_) return absl::CancelledError("the stream was closed");
  const bool failed = read_fault_ && read_fault_->after == 0;
  if (failed && !read_fault_->status.ok()) return read_fault_->status;
  if (failed) return std::size_t{0};
  if (in_->bytes.empty() && in_->closed) return absl::OutOfRangeError("the peer closed the connection");
  std::size_t count = std::min({size, read_at_most_, in_->bytes.size()});
  if (read_fault_) {
    count = std::min(count, read_fault_->after);
    read_fault_->after -= count;
  }
  in_->bytes.copy(into, count);
  in_->bytes.erase(0, count);
  if (count > 0) in_->writable.cancel();
  return count;
}

awaitable<absl::Status> MemoryStream::Write(absl::Span<const absl::string_view> pieces, absl::Duration limit) {
  for (absl::string_view piece : pieces) {
    while (!piece.empty()) {
      CO_ASSIGN_OR_RETURN(const std::size_t count, co_await WriteSome(piece, limit));
      piece.remove_prefix(count);
    }
  }
  co_return absl::OkStatus();
}

awaitable<absl::StatusOr<std::size_t>> MemoryStream::WriteSome(absl::string_view bytes, absl::Duration limit) {
  const TimePoint deadline = SteadyAfter(limit);
  const auto pipe = out_;
  while (true) {
    if (closed_) co_return absl::CancelledError("the stream was closed");
    const bool failed = write_fault_ && write_fault_->after == 0;
    if (failed && !write_fault_->status.ok()) co_return write_fault_->status;
    if (pipe->closed) co_return absl::UnavailableError("write: Broken pipe");
    if (!failed && pipe->bytes.size() < kWindow) break;
    CO_RETURN_IF_ERROR(co_await WaitForChange(pipe->writable, deadline));
  }
  std::size_t count = std::min(bytes.size(), kWindow - pipe->bytes.size());
  if (write_fault_) {
    count = std::min(count, write_fault_->after);
    write_fault_->after -= count;
  }
  pipe->bytes.append(bytes.data(), count);
  pipe->readable.cancel();
  co_return count;
}

void MemoryStream::Close() {
  if (std::exchange(closed_, true)) return;
  in_->Close();
  out_->Close();
}

void MemoryStream::FailReadsAfter(std::size_t bytes, absl::Status status) {
  read_fault_ = std::make_unique<Fault>(Fault{bytes, std::move(status)});
  in_->readable.cancel();
}

void MemoryStream::FailWritesAfter(std::size_t bytes, absl::Status status) {
  write_fault_ = std::make_unique<Fault>(Fault{bytes, std::move(status)});
  out_->writable.cancel();
}

std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> MakeMemoryPair(Executor executor,
                                                                                       Endpoint first,
                                                                                       Endpoint second) {
  const auto there = std::make_shared<MemoryStream::Pipe>(executor);
  const auto back = std::make_shared<MemoryStream::Pipe>(executor);
  return {std::unique_ptr<MemoryStream>(new MemoryStream(back, there, first, second)),
          std::unique_ptr<MemoryStream>(new MemoryStream(there, back, second, first))};
}

}  // namespace hikyaku::net
