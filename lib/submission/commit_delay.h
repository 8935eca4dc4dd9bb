// Whether mail that came now would wait too long for its commit: then it is refused at once, rather than taken, kept in
// memory, and answered when its client has given up.
//
// How long it would wait is foretold: so many wait before it, and answers have lately come one in so much time. What
// that says is believed only when waiting is long by now (kSlow): in a burst after a quiet hour it is of the quiet
// hour. And a slow disk alone is no overload: what comes while one group commits is all in the next, so that where no
// more than these two wait (kFew), nothing is refused however slow it is.
//
// Threading: safe from every thread. Times of any one clock; one that jumps is believed for a few answers.
#ifndef HIKYAKU_LIB_SUBMISSION_COMMIT_DELAY_H_
#define HIKYAKU_LIB_SUBMISSION_COMMIT_DELAY_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace hikyaku::submission {

class CommitDelay {
 public:
  // About what two groups hold of mails of 4 KiB (lib/queue/committer.cc): one commits, one gathers.
  static constexpr std::int64_t kFew = 512;
  static constexpr absl::Duration kSlow = absl::Milliseconds(100);
  static constexpr absl::Duration kLimit = absl::Milliseconds(500);

  // A mail goes to its shards; End follows, with the same time.
  void Begin(absl::Time now);
  // It was answered, however.
  void End(absl::Time began, absl::Time now);

  bool TooLong(absl::Time now) const;

 private:
  mutable absl::Mutex mutex_;
  std::int64_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  // When the last one was answered, or the first one came after all were.
  absl::Time answered_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // How long that one had waited.
  absl::Duration waited_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  // From one answer to the next while mail waits, averaged over about a group. Until it is known, kFew are the most.
  absl::Duration interval_ ABSL_GUARDED_BY(mutex_) = kLimit / kFew;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_COMMIT_DELAY_H_
