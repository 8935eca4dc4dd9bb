// Captures mail as files: the Maildirs below one folder.
//
// Source:     maildir(5): written in `tmp`, synced, moved to `new`, and the folder synced.
// Threading:  safe from every thread. A thread of its own writes, so that a slow disk holds up no connection; the
// destructor
//             waits for what it was given.
//
// Names come from the mail (see Store), so that a mail that is stored twice is one file as long as no reader has moved
// it. Below the root nothing is followed that is a symbolic link: who may write there cannot lead mail elsewhere.
#ifndef HIKYAKU_LIB_DELIVERY_MAILDIR_H_
#define HIKYAKU_LIB_DELIVERY_MAILDIR_H_

#include <deque>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "lib/net/asio.h"

namespace hikyaku::delivery {

class Maildir {
 public:
  // `root` is a full path; what is missing of it and of folders below is made, for this user alone.
  explicit Maildir(std::string root);
  ~Maildir();

  Maildir(const Maildir&) = delete;
  Maildir& operator=(const Maildir&) = delete;

  // Writes `head` and `*body` as one file `name` in `folder`/new, which is relative to the root, or a full path below
  // it. OK: it is on disk. Any error: it may be there or not, and storing it again under this name makes no second
  // file. A cancel does not end the wait.
  awaitable<absl::Status> Store(std::string folder, std::string name, std::string head,
                                std::shared_ptr<const std::string> body);

  // The full path of `folder`, for people.
  std::string PathOf(absl::string_view folder) const;

 private:
  void Run();
  absl::Status Write(absl::string_view folder, const std::string& name, absl::string_view head, absl::string_view body);

  const std::string root_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<absl::AnyInvocable<void()>> work_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // The last: it uses the rest.
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_MAILDIR_H_
