#include "lib/delivery/login.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);
constexpr std::size_t kMaxFile = 4096;

std::uint64_t NextId() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

absl::StatusOr<Login::Ready> Login::Get(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (now - looked_ >= kLookEvery || now < looked_) {
    looked_ = now;
    const bool was_good = trouble_.ok();
    trouble_ = Look();
    if (!trouble_.ok() && was_good) log::Warn("login_unreadable", {{"route", route_}, {"why", trouble_}});
  }
  if (!trouble_.ok()) return trouble_;
  return ready_;
}

absl::Status Login::Look() {
  const auto failed = [&](absl::string_view what) {
    mark_ = FileStamp();
    return absl::UnavailableError(absl::StrCat("password_file ", options_.password_file, " ", what));
  };
  if (mark_ != FileStamp() && mark_ == StampOf(options_.password_file)) return absl::OkStatus();
  const auto file = ReadSmallFile(options_.password_file, kMaxFile);
  if (!file.ok()) return failed(file.status().message());
  smtp::Credentials credentials{options_.user, std::string(FirstLine(file->text))};
  if (const absl::Status good = smtp::CheckCredentials(credentials); !good.ok()) return failed(good.message());
  mark_ = file->stamp;
  if (ready_.id != 0 && ready_.credentials.password == credentials.password) return absl::OkStatus();
  if (ready_.id != 0) log::Info("login_changed", {{"route", route_}});
  ready_ = {std::move(credentials), NextId()};
  rest_until_ = absl::InfinitePast();
  rest_ = absl::ZeroDuration();
  return absl::OkStatus();
}

std::optional<outcome::Outcome> Login::Resting(absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  // A clock that was set back must not rest for ever.
  if (now >= rest_until_ || rest_until_ - now > kLongestRest) return std::nullopt;
  return refusal_;
}

void Login::Refused(std::uint64_t id, const outcome::Outcome& outcome, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (id != ready_.id || now < rest_until_) return;  // Of others that were under way at the same time, one counts.
  rest_ = std::clamp(rest_ * 2, kFirstRest, kLongestRest);
  rest_until_ = now + rest_;
  refusal_ = outcome;
  log::Warn("login_refused", {{"route", route_},
                              {"remote", outcome.remote_host},
                              {"reply", outcome.ToString()},
                              {"rest", absl::FormatDuration(rest_)}});
}

void Login::Succeeded(std::uint64_t id) {
  absl::MutexLock lock(&mutex_);
  if (id != ready_.id) return;
  rest_ = absl::ZeroDuration();
  rest_until_ = absl::InfinitePast();
}

}  // namespace hikyaku::delivery
