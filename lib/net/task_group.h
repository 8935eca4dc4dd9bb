// A gate for coroutines: the only way to start one. The owner stops by Close (or Cancel) and Wait (or Join), in that
// order, and then nothing of the group runs any more.
//
// A task begins with throw_if_cancelled(false) (done here), so that a cancelled wait gives kCancelled and not an
// exception. An exception that leaves a task is a broken invariant and ends the process.
//
// Threading: safe from every thread. The executor of a task runs on one thread at a time.
#ifndef HIKYAKU_LIB_NET_TASK_GROUP_H_
#define HIKYAKU_LIB_NET_TASK_GROUP_H_

#include <cstddef>
#include <memory>

#include "absl/time/time.h"
#include "lib/net/asio.h"

namespace hikyaku::net {

class TaskGroup {
 public:
  TaskGroup();

  // The group must be empty: to destroy one with living tasks is a CHECK.
  ~TaskGroup();

  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Runs `task` on `executor`. False after Close: the task is destroyed without being started. Parameters of the
  // task's coroutine are held by value; a capturing lambda is never spawned.
  bool Spawn(Executor executor, awaitable<void> task);

  // No new tasks. Idempotent.
  void Close();

  // Closes, and asks every task to end: what it waits for now, and all it waits for later, gives kCancelled. A task
  // that has not begun is dropped.
  void Cancel();

  // Waits until the group is empty; blocks the thread, so it is not called from a thread that runs its tasks. Only
  // after Close or Cancel.
  void Wait();

  // The same for at most `limit`; false if tasks are still alive.
  bool WaitFor(absl::Duration limit);

  // The same from a coroutine, which is not a task of this group.
  awaitable<void> Join();

  // Tasks alive now.
  std::size_t size() const;

 private:
  struct State;
  struct Task;

  std::shared_ptr<State> state_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_TASK_GROUP_H_
