// What every coroutine of the house needs from Asio, and the only spelling of it outside lib/net.
//
// A function that waits returns awaitable<absl::Status> or awaitable<absl::StatusOr<T>>. Sockets and timers stay
// behind lib/net; the .cc files there include more of Asio.
#ifndef HIKYAKU_LIB_NET_ASIO_H_
#define HIKYAKU_LIB_NET_ASIO_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hikyaku {

namespace asio = boost::asio;

template <typename T = void>
using awaitable = asio::awaitable<T>;

using Executor = asio::any_io_executor;

// The completion token of every Asio call: `auto [error, …] = co_await x.async_y(…, kNoThrow);`
inline constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_NET_ASIO_H_
