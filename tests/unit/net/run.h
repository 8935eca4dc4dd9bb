// Runs one coroutine to its end in the test's thread.
#ifndef HIKYAKU_TESTS_UNIT_NET_RUN_H_
#define HIKYAKU_TESTS_UNIT_NET_RUN_H_

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "lib/net/asio.h"

namespace hikyaku::net {

template <typename T>
awaitable<void> StoreResult(awaitable<T> task, std::optional<T>& result) {
  co_await asio::this_coro::throw_if_cancelled(false);
  result.emplace(co_await std::move(task));
}

// Other work of `context` goes on meanwhile, and may be left when this returns (a stream's timer, for one).
template <typename T>
T RunTask(asio::io_context& context, awaitable<T> task) {
  std::optional<T> result;
  asio::co_spawn(context, StoreResult(std::move(task), result), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  context.restart();
  while (!result) context.run_one();
  return *std::move(result);
}

template <typename T>
T RunTask(awaitable<T> task) {
  asio::io_context context(1);
  return RunTask(context, std::move(task));
}

}  // namespace hikyaku::net

#endif  // HIKYAKU_TESTS_UNIT_NET_RUN_H_
