// Runs coroutines in the calling thread on virtual time, for simulations: time stands still while anything can run, and
// moves only by MoveTo.
//
//   while (!done) {
//     loop.RunReady();
//     loop.MoveTo(std::min(loop.next(), my_next_event));
//   }
//
// What runs, and in which order, depends on nothing but what the tasks do: not on real time.
//
// Threading: one at a time in a process, and all in one thread. What lives on it is destroyed before it.
#ifndef HIKYAKU_LIB_NET_VIRTUAL_LOOP_H_
#define HIKYAKU_LIB_NET_VIRTUAL_LOOP_H_

#include <memory>

#include "absl/time/time.h"
#include "lib/net/asio.h"
#include "lib/net/timer.h"

namespace hikyaku::net {

class VirtualLoop {
 public:
  VirtualLoop();
  ~VirtualLoop();

  VirtualLoop(const VirtualLoop&) = delete;
  VirtualLoop& operator=(const VirtualLoop&) = delete;

  Executor executor();

  // Runs all that can run at this moment. True if anything did.
  bool RunReady();

  // Since the loop was made.
  absl::Duration now() const { return absl::FromChrono(time_.now); }

  // No timer is due before; a timer that was cancelled meanwhile may be what is meant. InfiniteDuration: none is set.
  absl::Duration next() const;

  // Moves time, never back, and runs all that can run then.
  void MoveTo(absl::Duration time);

 private:
  struct Context;

  void FireTimers();

  VirtualTime time_;
  std::unique_ptr<Context> context_;
};

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_VIRTUAL_LOOP_H_
