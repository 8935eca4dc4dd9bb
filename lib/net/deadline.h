// Puts a limit on any awaitable. It costs a coroutine and a timer: for single steps such as a handshake or a look-up.
// Stream reads and writes take their limit themselves, almost for free.
#ifndef HIKYAKU_LIB_NET_DEADLINE_H_
#define HIKYAKU_LIB_NET_DEADLINE_H_

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/net/asio.h"
#include "lib/net/limit.h"

namespace hikyaku::net {

namespace internal {

// A task inside || is a thread of its own, which would throw at its next wait after a cancel.
template <typename Result>
awaitable<Result> WithoutThrow(awaitable<Result> work) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_return co_await std::move(work);
}

template <typename Result>
awaitable<Result> WithDeadline(absl::Duration limit, awaitable<Result> work) {
  using namespace asio::experimental::awaitable_operators;
  Timer timer(co_await asio::this_coro::executor, SteadyAfter(limit));
  auto first = co_await (WithoutThrow(std::move(work)) || timer.async_wait(kNoThrow));
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  if (std::get<0>(std::get<1>(first))) co_return absl::CancelledError("the caller was cancelled");
  co_return absl::DeadlineExceededError(absl::StrCat("nothing after ", absl::FormatDuration(limit)));
}

}  // namespace internal

// Runs `work`; cancels it and gives kDeadlineExceeded if `limit` passes first, kCancelled if the caller is cancelled.
// After either, close the stream that `work` used: the dialogue's position is unknown. `work` ends before this
// returns, so what it refers to may live in the caller; it must react to cancellation.
template <typename T>
awaitable<absl::StatusOr<T>> WithDeadline(absl::Duration limit, awaitable<absl::StatusOr<T>> work) {
  return internal::WithDeadline(limit, std::move(work));
}

inline awaitable<absl::Status> WithDeadline(absl::Duration limit, awaitable<absl::Status> work) {
  return internal::WithDeadline(limit, std::move(work));
}

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_DEADLINE_H_
