#include "lib/net/sleep.h"

#include "lib/net/limit.h"

namespace hikyaku::net {

awaitable<absl::Status> Sleep(absl::Duration duration) {
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() == asio::cancellation_type::none) {
    Timer timer(co_await asio::this_coro::executor, SteadyAfter(duration));
    const auto [error] = co_await timer.async_wait(kNoThrow);
    if (!error) co_return absl::OkStatus();
  }
  co_return absl::CancelledError("the task was cancelled");
}

}  // namespace hikyaku::net
