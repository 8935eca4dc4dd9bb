// Awaits an operation that answers by a callback, which may be called on any thread: the coroutine goes on on its own
// executor.
//
//   absl::Status committed = co_await AwaitCallback<absl::Status>([&](Resume<absl::Status> done) {
//     committer.Enqueue(std::move(batch), [done](absl::Status status) { done(std::move(status)); });
//   });
//
// The initiating function runs at once on the coroutine's thread and may live on its stack (captures by reference are
// fine in it, not in the callback). Who owns callbacks, a queue or a resolver, is stopped before the IoPool that the
// coroutines run on is destroyed.
#ifndef HIKYAKU_LIB_NET_RESUME_H_
#define HIKYAKU_LIB_NET_RESUME_H_

#include <atomic>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/check.h"
#include "lib/net/asio.h"
#include "lib/net/limit.h"

namespace hikyaku::net {

// Continues one coroutine with a value. Copies share the one chance: the first call counts, later calls do nothing.
// Callable on any thread, also inside the initiating function. Fits std::function<void(T)>.
template <typename T>
class Resume {
 public:
  // `required`: to drop all copies without a call is a CHECK, since the coroutine would wait for ever.
  Resume(absl::AnyInvocable<void(T)> deliver, bool required)
      : once_(std::make_shared<Once>(std::move(deliver), required)) {}

  void operator()(T value) const {
    if (!once_->called.exchange(true)) std::exchange(once_->deliver, nullptr)(std::move(value));
  }

 private:
  struct Once {
    Once(absl::AnyInvocable<void(T)> deliver, bool required) : deliver(std::move(deliver)), required(required) {}
    ~Once() { HIKYAKU_CHECK(called.load() || !required); }

    absl::AnyInvocable<void(T)> deliver;
    const bool required;
    std::atomic<bool> called{false};
  };

  std::shared_ptr<Once> once_;
};

// Waits for the callback, however long that takes: neither a deadline nor a cancel ends the wait. For operations that
// always answer, and whose answer must not be lost (a commit). `initiate` is called with a Resume<T>.
template <typename T, typename Initiate>
awaitable<T> AwaitCallback(Initiate initiate) {
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(
      [&initiate](auto handler) {
        auto work = asio::make_work_guard(asio::get_associated_executor(handler));
        auto deliver = [work = std::move(work), handler = std::move(handler)](T value) mutable {
          asio::post(work.get_executor(), [handler = std::move(handler), value = std::move(value)]() mutable {
            std::move(handler)(std::move(value));
          });
        };
        initiate(Resume<T>(std::move(deliver), /*required=*/true));
      },
      asio::use_awaitable);
}

namespace internal {

// A wait that an answer, a deadline or a cancel ends: the first counts. Lives on the coroutine's executor, but for
// `over`, which spares late answers the way there.
template <typename T>
struct TimedWait {
  void Finish(absl::StatusOr<T> result) {
    if (over.exchange(true)) return;
    timer.reset();
    if (slot.is_connected()) slot.clear();
    std::exchange(handler, nullptr)(std::move(result));
  }

  std::atomic<bool> over{false};
  absl::AnyInvocable<void(absl::StatusOr<T>)> handler;
  std::unique_ptr<Timer> timer;
  asio::cancellation_slot slot;
};

// Starts the timer and listens to the cancellation of `wait`, whose handler is set. Gives what answers it.
template <typename T>
Resume<absl::StatusOr<T>> Begin(std::shared_ptr<TimedWait<T>> wait, const Executor& executor, absl::Duration limit) {
  wait->timer = std::make_unique<Timer>(executor, SteadyAfter(limit));
  wait->timer->async_wait([wait, limit](boost::system::error_code error) {
    if (!error) wait->Finish(absl::DeadlineExceededError(absl::StrCat("no answer in ", absl::FormatDuration(limit))));
  });
  if (wait->slot.is_connected()) {
    // Posted: a slot's handler may not be cleared while it runs.
    wait->slot.assign([weak = std::weak_ptr(wait), executor](asio::cancellation_type) {
      asio::post(executor, [weak] {
        if (auto wait = weak.lock()) wait->Finish(absl::CancelledError("the task was cancelled"));
      });
    });
  }
  auto deliver = [wait, executor](absl::StatusOr<T> value) {
    if (wait->over.load()) return;
    asio::post(executor, [wait, value = std::move(value)]() mutable { wait->Finish(std::move(value)); });
  };
  return Resume<absl::StatusOr<T>>(std::move(deliver), /*required=*/false);
}

}  // namespace internal

// Waits for the callback, but no longer than `limit` (kDeadlineExceeded) and not after the task's cancel
// (kCancelled). The operation itself goes on, and its late answer is dropped: for answers that are kept elsewhere too
// (a cache). `initiate` is called with a Resume<absl::StatusOr<T>>.
template <typename T, typename Initiate>
awaitable<absl::StatusOr<T>> AwaitCallbackWithin(absl::Duration limit, Initiate initiate) {
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) co_return absl::CancelledError("the task was cancelled");
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(absl::StatusOr<T>)>(
      [&initiate, limit](auto handler) {
        const Executor executor = asio::get_associated_executor(handler);
        auto wait = std::make_shared<internal::TimedWait<T>>();
        wait->slot = asio::get_associated_cancellation_slot(handler);
        wait->handler = [handler = std::move(handler)](absl::StatusOr<T> result) mutable {
          std::move(handler)(std::move(result));
        };
        initiate(internal::Begin(std::move(wait), executor, limit));
      },
      asio::use_awaitable);
}

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_RESUME_H_
