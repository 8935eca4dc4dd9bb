// Whether mail that came now would wait too long for its commit: then it is refused at once, rather than taken, kept in
// memory, and answered when its client has long given up.
//
// A slow disk alone is no overload: one group commits while the next gathers, and all that waits is in that one. Only
// when more than a group waits does each further mail wait longer than the one before. So mail is refused when more
// than kFew wait, and the one that was answered last had waited longer than kLimit, or none was answered for so long.
// What was taken before is answered within about that time, and as soon as the queue is short again, mail is taken.
//
// Threading: safe from every thread. Times of any one clock; one that jumps is believed until the next answer.
#ifndef HIKYAKU_LIB_SUBMISSION_COMMIT_DELAY_H_
#define HIKYAKU_LIB_SUBMISSION_COMMIT_DELAY_H_

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace hikyaku::submission {

class CommitDelay {
 public:
  // About what one group holds of mails of 4 KiB (lib/queue/committer.cc).
  static constexpr std::int64_t kFew = 256;
  static constexpr absl::Duration kLimit = absl::Milliseconds(500);

  // A mail goes to its shards; End follows, with the same time.
  void Begin(absl::Time now);
  // It was answered, however.
  void End(absl::Time began, absl::Time now);

  bool TooLong(absl::Time now) const;

 private:
  std::atomic<std::int64_t> waiting_{0};
  std::atomic<std::int64_t> answered_{0};  // When the last one was, in microseconds; or when the first one came.
  std::atomic<std::int64_t> waited_{0};    // How long that one had waited, in microseconds.
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_COMMIT_DELAY_H_
