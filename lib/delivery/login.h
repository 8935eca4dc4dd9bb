// One login of the configuration (routes[].auth): its credentials from their file, what came of them, and the dialogue.
//
// Source:     RFC 4954; lib/smtp/sasl_client.h (the mechanisms).
// Threading:  Login is safe from every thread; LogIn belongs to the coroutine of the connection.
//
// The file is looked at again at most once a second, and read when it has changed; connections that were logged in
// before are then not used for further mail. A host that refuses the login is not asked again by this process for a
// minute, then for two, and so on up to fifteen, or until the file changes: mail waits meanwhile with the refusal as
// its reason.
#ifndef HIKYAKU_LIB_DELIVERY_LOGIN_H_
#define HIKYAKU_LIB_DELIVERY_LOGIN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lib/base/small_file.h"
#include "lib/outcome/outcome.h"
#include "lib/smtp/sasl_client.h"

namespace hikyaku::delivery {

struct LoginOptions {
  std::string user;
  std::string password_file;
  std::vector<smtp::SaslMechanism> mechanisms;  // Empty: all.
  bool allow_clear = false;
};

class Login {
 public:
  static constexpr absl::Duration kFirstRest = absl::Minutes(1);
  static constexpr absl::Duration kLongestRest = absl::Minutes(15);

  // `route` is what people call the row that has it.
  Login(LoginOptions options, std::string route) : options_(std::move(options)), route_(std::move(route)) {}

  struct Ready {
    smtp::Credentials credentials;
    std::uint64_t id = 0;  // Of these credentials in this process: connections that used others are of no use. Never 0.
  };

  // What to log in with at `now`. kUnavailable: the file cannot be read or holds no password; the mail waits.
  absl::StatusOr<Ready> Get(absl::Time now);

  // The refusal that still counts at `now`; nothing: try.
  std::optional<outcome::Outcome> Resting(absl::Time now) const;

  void Refused(std::uint64_t id, const outcome::Outcome& outcome, absl::Time now);
  void Succeeded(std::uint64_t id);

  const LoginOptions& options() const { return options_; }
  const std::string& route() const { return route_; }

 private:
  absl::Status Look() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const LoginOptions options_;
  const std::string route_;
  mutable absl::Mutex mutex_;
  absl::Time looked_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Status trouble_ ABSL_GUARDED_BY(mutex_);
  FileStamp mark_ ABSL_GUARDED_BY(mutex_);
  Ready ready_ ABSL_GUARDED_BY(mutex_);
  std::optional<outcome::Outcome> refusal_ ABSL_GUARDED_BY(mutex_);
  absl::Time rest_until_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Duration rest_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_LOGIN_H_
