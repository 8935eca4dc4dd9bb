// RemoteShard against a shard whose connection breaks before the answer.
#include "services/queue/remote_shard.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "hikyaku/v1/config.pb.h"
#include "services/common/grpc_server.h"
#include "services/common/internal_tls.h"
#include "services/queue/queue_service.h"
#include "tests/unit/submission/fake_shard.h"

namespace hikyaku::queue {
namespace {

constexpr std::size_t kMaxMessage = 1 << 20;

// Messages of a test: three more than go at once.
constexpr int kAll = RemoteShard::kCalls + 3;

// A shard that takes a request and dies: an HTTP/2 server that says hello, reads until `bytes` came, and closes.
class DyingShard {
 public:
  explicit DyingShard(std::size_t bytes) : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread([this, bytes] { Serve(bytes); });
  }
  ~DyingShard() { Join(); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Serve(std::size_t bytes) {
    const int connection = accept(listener_, nullptr, nullptr);
    close(listener_);
    const char settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    EXPECT_EQ(send(connection, settings, sizeof settings, 0), 9);
    char buffer[65536];
    for (std::size_t came = 0; came < bytes;) {
      const ssize_t count = recv(connection, buffer, sizeof buffer, 0);
      if (count <= 0) break;
      came += count;
    }
    close(connection);
  }

  const int listener_;
  int port_ = 0;
  std::thread thread_;
};

// The door of a shard, which looks at the calls that come.
class Door : public internal::v1::QueueService::CallbackService {
 public:
  // `old`: as it was before `more` was known.
  Door(Shard& shard, bool old) : inner_(shard), old_(old) {}

  grpc::ServerUnaryReactor* Enqueue(grpc::CallbackServerContext* context, const internal::v1::EnqueueRequest* request,
                                    internal::v1::EnqueueResponse* response) override {
    {
      std::lock_guard lock(mutex_);
      together_.push_back(1 + request->more_size());
    }
    if (old_) const_cast<internal::v1::EnqueueRequest*>(request)->clear_more();
    return inner_.Enqueue(context, request, response);
  }

  // The messages of each call so far.
  std::vector<int> together() {
    std::lock_guard lock(mutex_);
    return together_;
  }

 private:
  QueueService inner_;
  const bool old_;
  std::mutex mutex_;
  std::vector<int> together_;
};

// A shard behind its door, and the way to it.
struct Served {
  explicit Served(bool old = false, absl::Duration slow = absl::InfiniteDuration()) : door(shard, old) {
    GrpcServerOptions options;
    options.addresses = {"127.0.0.1:0"};
    options.max_message = kMaxMessage;
    options.for_our_own = true;
    server = *GrpcServer::Start(options, {&door});
    remote = std::make_unique<RemoteShard>("q0", absl::StrCat("127.0.0.1:", server->ports()[0]),
                                           InternalTls(v1::Config()), kMaxMessage, RemoteShard::kDoubtLimit, slow);
  }
  ~Served() {
    remote = nullptr;
    server = nullptr;
  }

  // Until so many answers are held back.
  bool Holds(std::size_t answers) {
    for (int i = 0; i < 2'000 && shard.held() < answers; ++i) absl::SleepFor(absl::Milliseconds(10));
    return shard.held() == answers;
  }

  submission::FakeShard shard{"q0"};
  Door door;
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<RemoteShard> remote;
};

internal::v1::EnqueueRequest Request(char id = 'i') {
  internal::v1::EnqueueRequest request;
  request.mutable_envelope()->set_message_id(std::string(MessageId::kBytes, id));
  request.set_body(std::string(20'000, 'x'));
  internal::v1::Destination& destination = *request.add_destinations();
  destination.set_domain("ok.test");
  destination.add_recipients("r@ok.test");
  return request;
}

// The answer to one Enqueue.
std::future<absl::Status> Enqueue(RemoteShard& shard, char id = 'i') {
  auto answered = std::make_shared<std::promise<absl::Status>>();
  auto future = answered->get_future();
  shard.Enqueue(Request(id),
                [answered](absl::StatusOr<internal::v1::EnqueueResponse> r) { answered->set_value(r.status()); });
  return future;
}

TEST(RemoteShard, RepeatsAsARepeatWhatBrokeBeforeTheAnswer) {
  DyingShard dying(20'000);
  RemoteShard remote("q0", dying.address(), InternalTls(v1::Config()), kMaxMessage);
  std::future<absl::Status> answer = Enqueue(remote);
  dying.Join();

  submission::FakeShard shard("q0");
  QueueService service(shard);
  GrpcServerOptions options;
  options.addresses = {dying.address()};
  options.max_message = kMaxMessage;
  options.for_our_own = true;
  const auto server = GrpcServer::Start(options, {&service});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(answer.get(), absl::OkStatus());
  ASSERT_EQ(shard.written.size(), 1u);
  EXPECT_TRUE(shard.written[0].maybe_repeat());
  EXPECT_EQ(shard.written[0].body().size(), 20'000u);

  EXPECT_EQ(Enqueue(remote).get(), absl::OkStatus());
  EXPECT_FALSE(shard.written.at(1).maybe_repeat());
}

TEST(RemoteShard, WhatComesWhileCallsAreUnderWayGoesTogether) {
  Served served;
  served.shard.Hold();
  std::vector<std::future<absl::Status>> answers;
  for (char id = 'a'; id < 'a' + kAll; ++id) answers.push_back(Enqueue(*served.remote, id));
  ASSERT_TRUE(served.Holds(RemoteShard::kCalls));
  EXPECT_EQ(served.door.together(), std::vector<int>(RemoteShard::kCalls, 1));
  served.shard.Release();
  for (auto& answer : answers) EXPECT_EQ(answer.get(), absl::OkStatus());
  std::vector<int> calls(RemoteShard::kCalls, 1);
  calls.push_back(3);
  EXPECT_EQ(served.door.together(), calls);
  EXPECT_EQ(served.shard.written.size(), std::size_t{kAll});
  EXPECT_EQ(Enqueue(*served.remote, 'z').get(), absl::OkStatus());
}

TEST(RemoteShard, OneOfSeveralThatIsRefusedIsRefusedAlone) {
  Served served;
  served.shard.Hold();
  served.shard.Refuse(std::string(MessageId::kBytes, 'a' + kAll - 2), absl::ResourceExhaustedError("full"));
  std::vector<std::future<absl::Status>> answers;
  for (char id = 'a'; id < 'a' + kAll; ++id) answers.push_back(Enqueue(*served.remote, id));
  ASSERT_TRUE(served.Holds(RemoteShard::kCalls));
  served.shard.Release();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const absl::StatusCode expected =
        static_cast<int>(i) == kAll - 2 ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kOk;
    EXPECT_EQ(answers[i].get().code(), expected) << i;
  }
}

TEST(RemoteShard, AShardThatReadsOnlyOneGetsEachOnce) {
  Served served(/*old=*/true);
  served.shard.Hold();
  std::vector<std::future<absl::Status>> answers;
  for (char id = 'a'; id < 'a' + kAll; ++id) answers.push_back(Enqueue(*served.remote, id));
  ASSERT_TRUE(served.Holds(RemoteShard::kCalls));
  served.shard.Release();
  for (auto& answer : answers) EXPECT_EQ(answer.get(), absl::OkStatus());
  EXPECT_EQ(served.shard.written.size(), std::size_t{kAll});
  std::vector<int> calls(RemoteShard::kCalls, 1);
  calls.insert(calls.end(), {3, 1, 1});
  EXPECT_EQ(served.door.together(), calls);

  served.shard.Hold();
  answers.clear();
  for (char id = 'l'; id < 'l' + kAll; ++id) answers.push_back(Enqueue(*served.remote, id));
  EXPECT_TRUE(served.Holds(kAll)) << "nothing waits for it any more";
  served.shard.Release();
  for (auto& answer : answers) EXPECT_EQ(answer.get(), absl::OkStatus());
}

TEST(RemoteShard, NobodyWaitsLongBehindSlowCalls) {
  Served served(/*old=*/false, /*slow=*/absl::ZeroDuration());
  served.shard.Hold();
  std::vector<std::future<absl::Status>> answers;
  for (char id = 'a'; id < 'a' + kAll; ++id) answers.push_back(Enqueue(*served.remote, id));
  EXPECT_TRUE(served.Holds(kAll));
  served.shard.Release();
  for (auto& answer : answers) EXPECT_EQ(answer.get(), absl::OkStatus());
}

TEST(RemoteShard, NobodyWaitsBehindACallThatIsRepeated) {
  DyingShard dying(60'000);  // HTTP/2 sends no more than 64 KiB unasked.
  RemoteShard remote("q0", dying.address(), InternalTls(v1::Config()), kMaxMessage, absl::Seconds(5),
                     absl::InfiniteDuration());
  std::vector<std::future<absl::Status>> sent;
  for (char id = 'a'; id < 'a' + RemoteShard::kCalls; ++id) sent.push_back(Enqueue(remote, id));
  std::future<absl::Status> waiting = Enqueue(remote, 'z');
  // It was never sent to the shard that died, and there is no other.
  EXPECT_EQ(waiting.get().code(), absl::StatusCode::kUnavailable);
  for (auto& each : sent) EXPECT_EQ(each.get().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(RemoteShard, NobodyKnowsWhenTheShardDoesNotComeBack) {
  DyingShard dying(20'000);
  RemoteShard remote("q0", dying.address(), InternalTls(v1::Config()), kMaxMessage, absl::Milliseconds(300));
  const absl::Status answer = Enqueue(remote).get();
  EXPECT_EQ(answer.code(), absl::StatusCode::kDeadlineExceeded) << answer;
}

TEST(RemoteShard, NothingIsWrittenWhereNobodyListens) {
  std::string address;
  {
    DyingShard gone(0);
    address = gone.address();
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(std::stoi(address.substr(address.rfind(':') + 1)));
    EXPECT_EQ(connect(probe, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    close(probe);
  }
  RemoteShard remote("q0", address, InternalTls(v1::Config()), kMaxMessage);
  const absl::Status answer = Enqueue(remote).get();
  EXPECT_EQ(answer.code(), absl::StatusCode::kUnavailable) << answer;
}

}  // namespace
}  // namespace hikyaku::queue
