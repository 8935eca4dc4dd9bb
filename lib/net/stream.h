// A connection as a stream of bytes: one of the four doors to the world. TCP (tcp_stream.h), in memory for tests
// (memory_stream.h) and, later, TLS on top of another stream.
//
// Threading: a stream belongs to the executor of the coroutine that owns it; every call is made there. At most one
// ReadSome and one Write may wait at a time.
//
// Errors, and what the caller does next:
//   kOutOfRange        The peer closed its side cleanly.    End of the dialogue: close.
//   kUnavailable       Reset, broken or closed by the peer. Close; another connection may work.
//   kDeadlineExceeded  Nothing moved for `limit`.           A last word may be written, then close. A deadline ends
//                                                           the wait in the other direction too.
//   kCancelled         Close() was called, or the task was cancelled. Close. To say a last word after the task was
//                      cancelled, first co_await asio::this_coro::reset_cancellation_state().
#ifndef HIKYAKU_LIB_NET_STREAM_H_
#define HIKYAKU_LIB_NET_STREAM_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lib/net/asio.h"
#include "lib/net/endpoint.h"

namespace hikyaku::net {

class Stream {
 public:
  // Closes.
  virtual ~Stream() = default;

  // Waits until something can be read, and gives 1..size bytes. `into` must outlive the await; `size` > 0.
  virtual awaitable<absl::StatusOr<std::size_t>> ReadSome(char* into, std::size_t size, absl::Duration limit) = 0;

  // What has arrived already, without waiting: 0..size bytes. Not while a ReadSome waits. Never kDeadlineExceeded.
  virtual absl::StatusOr<std::size_t> ReadArrived(char* into, std::size_t size) = 0;

  // Writes all the pieces in order, gathered into as few packets as they fit. Ok means that the kernel has taken all
  // bytes, not that the peer has them. `limit` is the longest time without progress (RFC 5321 §4.5.3.2.5), not the
  // time of the whole write. The array and the bytes must outlive the await.
  virtual awaitable<absl::Status> Write(absl::Span<const absl::string_view> pieces, absl::Duration limit) = 0;

  // One piece. The bytes must outlive the await.
  awaitable<absl::Status> WriteAll(absl::string_view bytes, absl::Duration limit) {
    const absl::string_view pieces[] = {bytes};
    co_return co_await Write(pieces, limit);
  }

  // Closes both directions. Idempotent; what waits ends with kCancelled.
  virtual void Close() = 0;

  // Where the two ends are; known for the whole life of the stream, also after Close.
  virtual const Endpoint& remote() const = 0;
  virtual const Endpoint& local() const = 0;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_STREAM_H_
