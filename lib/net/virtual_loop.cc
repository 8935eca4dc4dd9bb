#include "lib/net/virtual_loop.h"

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "lib/base/check.h"

namespace hikyaku::net {

struct VirtualLoop::Context {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work = asio::make_work_guard(io);
  Timer mover{io};
};

VirtualLoop::VirtualLoop() {
  HIKYAKU_CHECK(VirtualTime::installed.exchange(&time_) == nullptr);
  context_ = std::make_unique<Context>();
}

VirtualLoop::~VirtualLoop() {
  context_ = nullptr;
  VirtualTime::installed = nullptr;
}

Executor VirtualLoop::executor() { return context_->io.get_executor(); }

bool VirtualLoop::RunReady() {
  bool any = false;
  while (true) {
    if (context_->io.poll() > 0) {
      any = true;
    } else if (time_.next <= time_.now) {  // Set for a time that has come already.
      FireTimers();
    } else {
      return any;
    }
  }
}

absl::Duration VirtualLoop::next() const {
  return time_.next == std::chrono::nanoseconds::max() ? absl::InfiniteDuration() : absl::FromChrono(time_.next);
}

void VirtualLoop::MoveTo(absl::Duration time) {
  RunReady();
  time_.now = std::max(time_.now, absl::ToChronoNanoseconds(time));
  RunReady();
}

// A timer before all others makes the reactor look at them. The kernel takes a moment to say so, in which nothing else
// can run, since nothing is ready.
void VirtualLoop::FireTimers() {
  bool fired = false;
  time_.next = std::chrono::nanoseconds::max();
  context_->mover.expires_at(TimePoint::min());
  context_->mover.async_wait([&fired](const auto&) { fired = true; });
  while (!fired) context_->io.poll_one();
}

}  // namespace hikyaku::net
