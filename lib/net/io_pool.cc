#include "lib/net/io_pool.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <string>

#include "lib/base/check.h"
#include "lib/net/timer.h"

namespace hikyaku::net {

struct IoPool::Worker {
  // 1: only our thread runs it, so that what it posts to itself needs no wake-up.
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(context);
  // Makes Asio open the context's own descriptors (epoll, eventfd) now: later, when none is left, it would throw.
  Timer reactor{context};
  std::thread thread;
};

IoPool::IoPool(std::size_t threads) {
  HIKYAKU_CHECK(threads > 0);
  for (std::size_t i = 0; i < threads; ++i) {
    auto worker = std::make_unique<Worker>();
    worker->thread = std::thread([context = &worker->context] { context->run(); });
    pthread_setname_np(worker->thread.native_handle(), ("io-" + std::to_string(i)).c_str());
    executors_.push_back(worker->context.get_executor());
    workers_.push_back(std::move(worker));
  }
}

IoPool::IoPool(Executor caller) : executors_{std::move(caller)} {}

IoPool::~IoPool() {
  Stop();
  Join();
}

Executor IoPool::Next() { return At(next_.fetch_add(1, std::memory_order_relaxed) % size()); }

Executor IoPool::At(std::size_t index) {
  HIKYAKU_CHECK(index < size());
  return executors_[index];
}

void IoPool::Stop() {
  for (auto& worker : workers_) worker->context.stop();
}

void IoPool::Join() {
  for (auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
}

}  // namespace hikyaku::net
