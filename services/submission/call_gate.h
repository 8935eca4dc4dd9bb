// Lets a gRPC service stop without a client ever seeing CANCELLED: new calls are turned away with UNAVAILABLE, running
// ones are told, and the owner waits for them before it shuts the server down.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_SERVICES_SUBMISSION_CALL_GATE_H_
#define HIKYAKU_SERVICES_SUBMISSION_CALL_GATE_H_

#include <cstddef>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace hikyaku::submission {

class CallGate {
 public:
  // A call that has no end of its own: a stream.
  class Stream {
   public:
    virtual ~Stream() = default;
    // Called at most once, between Enter and Leave, which it must not call itself.
    virtual void OnStopping() = 0;
    // True: all that is left is to be read by the client, and it has read nothing since `then`. Called as OnStopping.
    virtual bool StuckSince(absl::Time then) = 0;
  };

  // False: the gate is closed; answer Stopping(). True: Leave follows, with the same argument.
  bool Enter(Stream* stream = nullptr);
  void Leave(Stream* stream = nullptr);

  // From now on Enter gives false; streams are told. Idempotent.
  void Close();

  // A client that reads nothing for so long is not waited for.
  static constexpr absl::Duration kClientGrace = absl::Seconds(2);

  // After Close: true when no call is left but streams whose clients have stopped reading, false when that takes longer
  // than `limit`. Those streams end with the process, so that their clients too read UNAVAILABLE; a cancel would tell
  // them CANCELLED, which they do not repeat.
  bool WaitUntilEmpty(absl::Duration limit);

  static absl::Status Stopping() { return absl::UnavailableError("the server is stopping; repeat the call"); }

 private:
  bool Empty() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return calls_ == 0; }

  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_set<Stream*> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_CALL_GATE_H_
