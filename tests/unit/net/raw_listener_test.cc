// RawListener over loopback, with sockets by hand on both sides.
#include "lib/net/raw_listener.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace hikyaku::net {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(20);

class RawListenerTest : public testing::Test {
 protected:
  ~RawListenerTest() override {
    for (const int fd : clients_) close(fd);
    listener_ = nullptr;
    for (const int fd : taken_) close(fd);
  }

  void Listen(Admission::Caps caps) {
    auto bound = RawListener::Bind({*ParseEndpoint("127.0.0.1:0"), *ParseEndpoint("127.0.0.1:0")},
                                   std::make_shared<Admission>(std::move(caps)));
    ASSERT_TRUE(bound.ok()) << bound.status();
    listener_ = *std::move(bound);
    listener_->Start([this](int fd) {
      absl::MutexLock lock(&mutex_);
      taken_.push_back(fd);
    });
  }

  int Connect(int door = 0) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(listener_->bound()[door].port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    clients_.push_back(fd);
    return fd;
  }

  // The taken socket with this index, when it is there; -1 when it does not come.
  int Taken(std::size_t index) {
    absl::MutexLock lock(&mutex_);
    const auto there = [this, index]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return taken_.size() > index; };
    return mutex_.AwaitWithTimeout(absl::Condition(&there), kLimit) ? taken_[index] : -1;
  }

  // As gRPC ends a connection; it may close its descriptor much later.
  void End(std::size_t index) { shutdown(Taken(index), SHUT_RDWR); }

  // Whether the other side closes: the end of the stream, or a reset.
  static bool Closed(int fd) {
    timeval limit{20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char byte;
    const ssize_t count = recv(fd, &byte, 1, 0);
    return count == 0 || (count < 0 && errno == ECONNRESET);
  }

  std::unique_ptr<RawListener> listener_;
  std::vector<int> clients_;
  absl::Mutex mutex_;
  std::vector<int> taken_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(RawListenerTest, HandsOverConnectionsOfAllItsAddresses) {
  Listen({});
  for (const int door : {0, 1}) {
    const int client = Connect(door);
    const int taken = Taken(door);
    ASSERT_GE(taken, 0);
    ASSERT_EQ(send(client, "x", 1, 0), 1);
    char byte = 0;
    while (recv(taken, &byte, 1, 0) < 0 && errno == EAGAIN) {
    }
    EXPECT_EQ(byte, 'x');
  }
}

TEST_F(RawListenerTest, PlaceIsFreeAgainWhenTheConnectionIsOver) {
  Listen({.total = 0, .per_client = 2, .exempt = nullptr, .rate_per_client = 0, .rate_exempt = nullptr});
  Connect();
  Connect(1);
  ASSERT_GE(Taken(1), 0);
  EXPECT_TRUE(Closed(Connect()));
  End(0);
  EXPECT_TRUE(Closed(clients_[0])) << "the second descriptor does not keep it open";
  // Its end is seen a moment later than ours.
  for (int tries = 0; tries < 1000; ++tries) {
    Connect();
    absl::MutexLock lock(&mutex_);
    const auto more = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return taken_.size() > 2; };
    if (mutex_.AwaitWithTimeout(absl::Condition(&more), absl::Milliseconds(20))) break;
  }
  EXPECT_GE(Taken(2), 0);
}

TEST_F(RawListenerTest, GoesOnWhenDescriptorsAreThereAgain) {
  Listen({});
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  const int top = dup(0);
  close(top);
  const rlimit few{static_cast<rlim_t>(top), before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(listener_->bound()[0].port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  clients_.push_back(client);
  {
    absl::MutexLock lock(&mutex_);
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return !taken_.empty(); };
    EXPECT_FALSE(mutex_.AwaitWithTimeout(absl::Condition(&any), absl::Milliseconds(150)));
  }
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_GE(Taken(0), 0);
}

TEST(RawListenerBind, SaysWhatCannotBeBound) {
  const auto admission = std::make_shared<Admission>(Admission::Caps());
  auto first = RawListener::Bind({*ParseEndpoint("127.0.0.1:0")}, admission);
  ASSERT_TRUE(first.ok());
  const auto second = RawListener::Bind({(*first)->bound()[0]}, admission);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find((*first)->bound()[0].text()), absl::string_view::npos);
  EXPECT_FALSE(RawListener::Bind({*ParseEndpoint("192.0.2.1:80")}, admission).ok());
}

}  // namespace
}  // namespace hikyaku::net
