#include "lib/net/raw_listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/check.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"

namespace hikyaku::net {
namespace {

// Connections that are accepted before the thread looks at what else there is.
constexpr int kAtOnce = 64;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress ToSocketAddress(const Endpoint& at) {
  SocketAddress to;
  if (at.address.is_v4()) {
    auto& in = reinterpret_cast<sockaddr_in&>(to.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(at.port);
    std::memcpy(&in.sin_addr, at.address.bytes().data(), 4);
    to.size = sizeof in;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(to.storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(at.port);
    std::memcpy(&in6.sin6_addr, at.address.bytes().data(), 16);
    to.size = sizeof in6;
  }
  return to;
}

Endpoint FromSocketAddress(const SocketAddress& from) {
  if (from.storage.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(from.storage);
    return {*address::IpAddress::FromBytes({reinterpret_cast<const char*>(&in.sin_addr), 4}), ntohs(in.sin_port)};
  }
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(from.storage);
  const auto address = *address::IpAddress::FromBytes({reinterpret_cast<const char*>(&in6.sin6_addr), 16});
  return {address.Unmapped(), ntohs(in6.sin6_port)};
}

bool OutOfMeans(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

bool Watch(int epoll, int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RawListener>> RawListener::Bind(const std::vector<Endpoint>& at,
                                                               std::shared_ptr<Admission> admission) {
  std::unique_ptr<RawListener> made(new RawListener(std::move(admission)));
  made->epoll_ = epoll_create1(EPOLL_CLOEXEC);
  made->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made->epoll_ < 0 || made->wake_ < 0 || !Watch(made->epoll_, made->wake_, EPOLLIN)) {
    return absl::UnavailableError(absl::StrCat("no descriptors to listen with: ", std::strerror(errno)));
  }
  for (const Endpoint& each : at) RETURN_IF_ERROR(made->Listen(each));
  return made;
}

absl::Status RawListener::Listen(const Endpoint& at) {
  const auto failed = [&at] {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", at.text(), ": ", std::strerror(errno)));
  };
  SocketAddress address = ToSocketAddress(at);
  const int fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return failed();
  listeners_.push_back(fd);
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (at.address.is_v6()) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(fd, address.get(), address.size) != 0 || listen(fd, kBacklog) != 0) return failed();
  SocketAddress real;
  if (getsockname(fd, real.get(), &real.size) != 0) return failed();
  bound_.push_back({at.address, FromSocketAddress(real).port});
  return absl::OkStatus();
}

RawListener::~RawListener() {
  if (thread_.joinable()) {
    eventfd_write(wake_, 1);
    thread_.join();
  }
  for (const auto& [fd, client] : open_) {
    admission_->Leave(client);
    close(fd);
  }
  for (const int fd : listeners_) close(fd);
  if (wake_ >= 0) close(wake_);
  if (epoll_ >= 0) close(epoll_);
}

void RawListener::Start(Taker taker) {
  HIKYAKU_CHECK(!thread_.joinable());
  taker_ = std::move(taker);
  for (const int fd : listeners_) HIKYAKU_CHECK(Watch(epoll_, fd, EPOLLIN));
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), "accept");
}

void RawListener::Run() {
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == wake_) return;
      if (std::find(listeners_.begin(), listeners_.end(), fd) == listeners_.end()) {
        Forget(fd);
      } else {
        Accept(fd);
      }
    }
  }
}

void RawListener::Accept(int listener) {
  for (int i = 0; i < kAtOnce; ++i) {
    SocketAddress remote;
    const int fd = accept4(listener, remote.get(), &remote.size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (OutOfMeans(errno)) return Pause(listener, errno);
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      continue;  // That one has gone already.
    }
    const int ours = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (ours < 0) {
      close(fd);
      return Pause(listener, errno);
    }
    const address::IpAddress client = FromSocketAddress(remote).address;
    const bool admitted = !admission_->Enter(client, absl::Now()).has_value();
    // No events are asked for: the kernel tells of errors and of the end in any case.
    if (!admitted || !Watch(epoll_, ours, 0)) {
      if (admitted) admission_->Leave(client);
      close(ours);
      close(fd);
      continue;
    }
    if (std::exchange(paused_, false)) log::Info("accept_resumed", {{"listener", bound_.front().text()}});
    open_.emplace(ours, client);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    taker_(fd);
  }
}

// What is open must end first.
void RawListener::Pause(int listener, int error) {
  if (!std::exchange(paused_, true)) {
    log::Warn("accept_paused", {{"listener", bound_.front().text()}, {"error", std::strerror(error)}});
  }
  absl::SleepFor(kPause);
}

void RawListener::Forget(int fd) {
  const auto found = open_.find(fd);
  HIKYAKU_CHECK(found != open_.end());
  admission_->Leave(found->second);
  open_.erase(found);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);  // close() does not end the watch while the library has the socket.
  close(fd);
}

}  // namespace hikyaku::net
