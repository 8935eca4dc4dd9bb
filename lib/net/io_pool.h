// The threads that run sockets: N threads with one io_context each. What starts on a thread stays there, so a
// session needs no lock.
//
// Threading: safe from every thread, but Join and the destructor are not called from a thread of the pool.
#ifndef HIKYAKU_LIB_NET_IO_POOL_H_
#define HIKYAKU_LIB_NET_IO_POOL_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

#include "lib/net/asio.h"

namespace hikyaku::net {

class IoPool {
 public:
  // Starts `threads` (at least 1) threads.
  explicit IoPool(std::size_t threads);

  // A pool of one thread that is the caller's own: the caller runs what stands behind `caller`, and ends it.
  explicit IoPool(Executor caller);

  // Stop and Join.
  ~IoPool();

  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  // The executor of the next thread, round robin.
  Executor Next();

  // The executor of thread `index` < size().
  Executor At(std::size_t index);

  std::size_t size() const { return executors_.size(); }

  // Ends the threads at once; what waits on them never goes on. Task groups are closed and awaited before this.
  void Stop();

  // Waits until the threads have ended; Stop comes first.
  void Join();

 private:
  struct Worker;

  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Executor> executors_;  // One a thread.
  std::atomic<std::size_t> next_{0};
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_IO_POOL_H_
