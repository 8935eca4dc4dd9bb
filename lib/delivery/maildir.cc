#include "lib/delivery/maildir.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/net/resume.h"

namespace hikyaku::delivery {
namespace {

absl::Status Failed(absl::string_view what, absl::string_view name) {
  return absl::UnavailableError(absl::StrCat(name, " cannot be ", what, ": ", std::strerror(errno)));
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// The folder `name` in `parent`, made if it is missing.
absl::StatusOr<Descriptor> Enter(const Descriptor& parent, const std::string& name, int follow) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  int fd = openat(parent.get(), name.c_str(), kFlags | follow);
  if (fd < 0 && errno == ENOENT) {
    if (mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return Failed("made", name);
    // Else the folder itself could be gone after a power cut, with what was synced into it.
    if (fsync(parent.get()) != 0) return Failed("synced", name);
    fd = openat(parent.get(), name.c_str(), kFlags | follow);
  }
  if (fd < 0) return Failed("opened", name);
  return Descriptor(fd);
}

absl::StatusOr<Descriptor> Descend(Descriptor from, absl::string_view path, int follow) {
  for (const absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == "..") return absl::InvalidArgumentError("\"..\" in the path of a folder");
    ASSIGN_OR_RETURN(from, Enter(from, std::string(part), follow));
  }
  return from;
}

absl::Status WriteWhole(int fd, absl::string_view bytes, absl::string_view name) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("written", name);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status WriteFile(const Descriptor& in, const std::string& name, absl::string_view head, absl::string_view body) {
  // A try that broke off may have left one.
  const Descriptor file(openat(in.get(), name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.get() < 0) return Failed("made", name);
  RETURN_IF_ERROR(WriteWhole(file.get(), head, name));
  RETURN_IF_ERROR(WriteWhole(file.get(), body, name));
  return fsync(file.get()) == 0 ? absl::OkStatus() : Failed("synced", name);
}

}  // namespace

Maildir::Maildir(std::string root) : root_(absl::StripSuffix(root, "/")), thread_([this] { Run(); }) {}

Maildir::~Maildir() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
  }
  thread_.join();
}

std::string Maildir::PathOf(absl::string_view folder) const {
  return absl::StartsWith(folder, "/") ? std::string(folder) : absl::StrCat(root_, "/", folder);
}

awaitable<absl::Status> Maildir::Store(std::string folder, std::string name, std::string head,
                                       std::shared_ptr<const std::string> body) {
  co_return co_await net::AwaitCallback<absl::Status>([&](net::Resume<absl::Status> done) {
    absl::MutexLock lock(&mutex_);
    work_.push_back([this, done, folder = std::move(folder), name = std::move(name), head = std::move(head),
                     body = std::move(body)] { done(Write(folder, name, head, *body)); });
  });
}

void Maildir::Run() {
  absl::MutexLock lock(&mutex_);
  for (;;) {
    const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_ || !work_.empty(); };
    mutex_.Await(absl::Condition(&ready));
    if (work_.empty()) return;
    absl::AnyInvocable<void()> next = std::move(work_.front());
    work_.pop_front();
    mutex_.Unlock();
    next();
    next = nullptr;
    mutex_.Lock();
  }
}

absl::Status Maildir::Write(absl::string_view folder, const std::string& name, absl::string_view head,
                            absl::string_view body) {
  if (absl::StartsWith(folder, "/") && !absl::ConsumePrefix(&folder, absl::StrCat(root_, "/"))) {
    return absl::InvalidArgumentError(absl::StrCat("the folder is not below ", root_));
  }
  ASSIGN_OR_RETURN(Descriptor root, Descend(Descriptor(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), root_, 0));
  ASSIGN_OR_RETURN(const Descriptor at, Descend(std::move(root), folder, O_NOFOLLOW));
  ASSIGN_OR_RETURN(const Descriptor tmp, Enter(at, "tmp", O_NOFOLLOW));
  ASSIGN_OR_RETURN(const Descriptor fresh, Enter(at, "new", O_NOFOLLOW));
  ASSIGN_OR_RETURN(const Descriptor seen, Enter(at, "cur", O_NOFOLLOW));
  absl::Status status = WriteFile(tmp, name, head, body);
  if (status.ok() && renameat(tmp.get(), name.c_str(), fresh.get(), name.c_str()) != 0) status = Failed("moved", name);
  if (!status.ok()) {
    unlinkat(tmp.get(), name.c_str(), 0);
    return status;
  }
  return fsync(fresh.get()) == 0 ? absl::OkStatus() : Failed("synced", name);
}

}  // namespace hikyaku::delivery
