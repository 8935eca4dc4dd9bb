#include "lib/net/task_group.h"

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <list>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/net/resume.h"

namespace hikyaku::net {

struct TaskGroup::State {
  absl::Mutex mutex;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  std::list<Task*> tasks ABSL_GUARDED_BY(mutex);  // In the order of their start.
  std::vector<Resume<std::monostate>> joiners ABSL_GUARDED_BY(mutex);
};

// A living task. Its last owner is the completion handler, so that a task is counted until its coroutine is gone,
// even where the coroutine is destroyed instead of finished.
struct TaskGroup::Task : std::enable_shared_from_this<Task> {
  Task(std::shared_ptr<State> state, Executor executor) : state(std::move(state)), executor(std::move(executor)) {}

  ~Task() {
    std::vector<Resume<std::monostate>> joiners;
    {
      absl::MutexLock lock(&state->mutex);
      if (place) state->tasks.erase(*place);
      if (state->tasks.empty()) joiners.swap(state->joiners);
    }
    for (const auto& joiner : joiners) joiner({});
  }

  const std::shared_ptr<State> state;
  const Executor executor;
  asio::cancellation_signal signal;  // Touched on `executor` only.
  std::atomic<bool> cancelled{false};
  std::optional<std::list<Task*>::iterator> place;  // Guarded by the state's mutex.
};

namespace {

awaitable<void> Run(awaitable<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

// Only a cancel may surface as an exception: Asio throws it at the start of a spawned sub-task.
void CheckFailure(std::exception_ptr failure) {
  if (!failure) return;
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) return;
    log::Error("task_threw", {{"what", error.what()}});
  } catch (const std::exception& error) {
    log::Error("task_threw", {{"what", error.what()}});
  } catch (...) {
    log::Error("task_threw", {{"what", "not a std::exception"}});
  }
  HIKYAKU_CHECK(!"an exception left a task");
}

}  // namespace

TaskGroup::TaskGroup() : state_(std::make_shared<State>()) {}

TaskGroup::~TaskGroup() { HIKYAKU_CHECK(size() == 0); }

bool TaskGroup::Spawn(Executor executor, awaitable<void> task) {
  auto entry = std::make_shared<Task>(state_, executor);
  {
    absl::MutexLock lock(&state_->mutex);
    if (!state_->closed)
      entry->place = state_->tasks.insert(state_->tasks.end(), entry.get());
    else
      entry->cancelled = true;
  }
  if (entry->cancelled) return false;
  // Started on its own thread, so that Cancel, which goes there too, never meets a half-made task.
  asio::dispatch(executor, [entry = std::move(entry), task = std::move(task)]() mutable {
    if (entry->cancelled) return;
    auto slot = entry->signal.slot();
    const Executor on = entry->executor;
    asio::co_spawn(on, Run(std::move(task)),
                   asio::bind_cancellation_slot(
                       slot, [entry = std::move(entry)](std::exception_ptr failure) { CheckFailure(failure); }));
  });
  return true;
}

void TaskGroup::Close() {
  absl::MutexLock lock(&state_->mutex);
  state_->closed = true;
}

void TaskGroup::Cancel() {
  std::vector<std::shared_ptr<Task>> tasks;
  {
    absl::MutexLock lock(&state_->mutex);
    state_->closed = true;
    for (Task* task : state_->tasks) {
      if (auto alive = task->weak_from_this().lock()) tasks.push_back(std::move(alive));
    }
  }
  for (auto& task : tasks) {
    task->cancelled = true;
    asio::post(task->executor, [task] { task->signal.emit(asio::cancellation_type::terminal); });
  }
}

void TaskGroup::Wait() { HIKYAKU_CHECK(WaitFor(absl::InfiniteDuration())); }

bool TaskGroup::WaitFor(absl::Duration limit) {
  absl::MutexLock lock(&state_->mutex);
  HIKYAKU_CHECK(state_->closed);
  // Asked with the mutex held.
  const auto empty = [](State* state) ABSL_NO_THREAD_SAFETY_ANALYSIS { return state->tasks.empty(); };
  return state_->mutex.AwaitWithTimeout(absl::Condition(+empty, state_.get()), limit);
}

awaitable<void> TaskGroup::Join() {
  const auto state = state_;
  co_await AwaitCallback<std::monostate>([&state](Resume<std::monostate> joined) {
    {
      absl::MutexLock lock(&state->mutex);
      HIKYAKU_CHECK(state->closed);
      if (!state->tasks.empty()) {
        state->joiners.push_back(std::move(joined));
        return;
      }
    }
    joined({});
  });
}

std::size_t TaskGroup::size() const {
  absl::MutexLock lock(&state_->mutex);
  return state_->tasks.size();
}

}  // namespace hikyaku::net
