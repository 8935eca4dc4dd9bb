// Runs one coroutine to its end on virtual time: a limit that it waits for costs nothing, and a slow machine breaks none.
#ifndef HIKYAKU_TESTS_UNIT_NET_RUN_VIRTUAL_H_
#define HIKYAKU_TESTS_UNIT_NET_RUN_VIRTUAL_H_

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <optional>
#include <utility>

#include "lib/net/asio.h"
#include "lib/net/virtual_loop.h"
#include "tests/unit/net/run.h"

namespace hikyaku::net {

// All that can run now, or else what waits for the next moment.
inline void Turn(VirtualLoop& loop) {
  if (!loop.RunReady()) loop.MoveTo(loop.next());
}

// Other work of `loop` goes on meanwhile, and may be left when this returns.
template <typename T>
T RunTask(VirtualLoop& loop, awaitable<T> task) {
  std::optional<T> result;
  asio::co_spawn(loop.executor(), StoreResult(std::move(task), result), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  while (!result) Turn(loop);
  return *std::move(result);
}

}  // namespace hikyaku::net

#endif  // HIKYAKU_TESTS_UNIT_NET_RUN_VIRTUAL_H_
