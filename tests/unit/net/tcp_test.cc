// Listener, TcpDialer and TcpStream against each other over loopback.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/status_macros.h"
#include "lib/net/dialer.h"
#include "lib/net/io_pool.h"
#include "lib/net/listener.h"
#include "lib/net/sleep.h"
#include "lib/net/stream.h"
#include "tests/unit/net/run.h"

namespace hikyaku::net {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(10);
constexpr absl::Duration kShort = absl::Milliseconds(30);

Endpoint At(const char* text) { return *ParseEndpoint(text); }

awaitable<absl::StatusOr<std::string>> Read(Stream& stream, absl::Duration limit = kLimit) {
  char bytes[65536];
  CO_ASSIGN_OR_RETURN(const std::size_t count, co_await stream.ReadSome(bytes, sizeof bytes, limit));
  co_return std::string(bytes, count);
}

// Reads until the end of the stream or an error.
awaitable<std::pair<std::string, absl::Status>> ReadAll(Stream& stream) {
  std::string all;
  while (true) {
    auto some = co_await Read(stream);
    if (!some.ok()) co_return std::pair(std::move(all), some.status());
    all += *some;
  }
}

awaitable<void> Echo(std::unique_ptr<Stream> stream) {
  while (true) {
    auto bytes = co_await Read(*stream);
    if (!bytes.ok()) co_return;
    const absl::Status written = co_await stream->WriteAll(*bytes, kLimit);
    if (!written.ok()) co_return;
  }
}

class TcpTest : public testing::Test {
 protected:
  std::unique_ptr<Listener> Listen(Listener::Handler handler, ListenerOptions options = {At("127.0.0.1:0")}) {
    auto listener = Listener::Start(pool_, std::move(options), std::move(handler));
    EXPECT_TRUE(listener.ok()) << listener.status();
    return *std::move(listener);
  }

  absl::StatusOr<std::unique_ptr<Stream>> Dial(const Endpoint& to, DialOptions options = {}) {
    return Do(dialer_.Dial(to, options));
  }

  std::unique_ptr<Stream> MustDial(const Endpoint& to) {
    auto stream = Dial(to);
    EXPECT_TRUE(stream.ok()) << stream.status();
    return *std::move(stream);
  }

  template <typename T>
  T Do(awaitable<T> task) {
    return RunTask(context_, std::move(task));
  }

  IoPool pool_{2};
  asio::io_context context_{1};
  TcpDialer dialer_{EgressGuard({*address::Cidr::Parse("127.0.0.0/8"), *address::Cidr::Parse("::1/128")}), {}};
};

TEST_F(TcpTest, BytesGoThereAndBack) {
  auto listener = Listen(Echo);
  auto stream = MustDial(listener->bound());
  EXPECT_EQ(stream->remote(), listener->bound());
  const absl::string_view pieces[] = {"one ", "two ", "three"};
  EXPECT_TRUE(Do(stream->Write(pieces, kLimit)).ok());
  EXPECT_EQ(*Do(Read(*stream)), "one two three");
}

// A socket of the file system, in both outcomes.
TEST_F(TcpTest, UnixSocket) {
  char folder[] = "/tmp/hikyaku-XXXXXX";  // Bazel's own folder has too long a path for a socket.
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string path = absl::StrCat(folder, "/echo.sock");
  DialOptions options;
  options.unix_path = std::string(200, 'x');
  EXPECT_EQ(Dial({}, options).status().code(), absl::StatusCode::kInvalidArgument);
  options.unix_path = path;
  const auto missing = Dial({}, options);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(missing.status().message().find(path), std::string::npos) << missing.status();

  asio::local::stream_protocol::acceptor acceptor(context_, asio::local::stream_protocol::endpoint(path));
  auto stream = Dial({}, options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  asio::local::stream_protocol::socket peer = acceptor.accept();
  EXPECT_TRUE(Do((*stream)->WriteAll("ping", kLimit)).ok());
  char buffer[4];
  EXPECT_EQ(peer.receive(asio::buffer(buffer)), 4u);
  asio::write(peer, asio::buffer("pong", 4));
  EXPECT_EQ(*Do(Read(**stream)), "pong");
  peer.close();
  EXPECT_EQ(Do(Read(**stream)).status().code(), absl::StatusCode::kOutOfRange);
  unlink(path.c_str());
  rmdir(folder);
}

TEST_F(TcpTest, Ipv6Works) {
  auto listener = Listener::Start(pool_, {At("[::1]:0")}, Echo);
  if (!listener.ok()) GTEST_SKIP() << "no IPv6 here: " << listener.status();
  auto stream = MustDial((*listener)->bound());
  EXPECT_TRUE(Do(stream->WriteAll("x", kLimit)).ok());
  EXPECT_EQ(*Do(Read(*stream)), "x");
}

awaitable<std::string> SendAndReceive(Stream& stream, const std::string& bytes) {
  std::string back;
  std::size_t sent = 0;
  while (back.size() < bytes.size()) {
    const std::size_t part = std::min<std::size_t>(256 * 1024, bytes.size() - sent);
    const absl::Status written = co_await stream.WriteAll(absl::string_view(bytes).substr(sent, part), kLimit);
    if (!written.ok()) break;
    sent += part;
    while (back.size() < sent) {
      auto some = co_await Read(stream);
      if (!some.ok()) co_return back;
      back += *some;
    }
  }
  co_return back;
}

TEST_F(TcpTest, LargeWritesOfManyPiecesArriveWhole) {
  auto listener = Listen([](std::unique_ptr<Stream> stream) -> awaitable<void> {
    auto [bytes, end] = co_await ReadAll(*stream);
    EXPECT_EQ(bytes.size(), 200u * 65536);
    for (std::size_t i = 0; i < bytes.size(); i += 65536) EXPECT_EQ(bytes[i], static_cast<char>(i / 65536));
    EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
  });
  auto stream = MustDial(listener->bound());
  std::vector<std::string> owned;
  for (int i = 0; i < 200; ++i) owned.emplace_back(65536, static_cast<char>(i));
  const std::vector<absl::string_view> pieces(owned.begin(), owned.end());
  EXPECT_TRUE(Do(stream->Write(pieces, kLimit)).ok());
  stream->Close();
  listener->Stop();
  EXPECT_TRUE(listener->Drain(kLimit));
}

TEST_F(TcpTest, SilenceMeetsTheReadLimitAndTheStreamCanStillSpeak) {
  auto listener = Listen(Echo);
  auto stream = MustDial(listener->bound());
  EXPECT_EQ(Do(Read(*stream, kShort)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Do(stream->WriteAll("421", kLimit)).ok());
  EXPECT_EQ(*Do(Read(*stream)), "421");
}

awaitable<std::vector<absl::StatusCode>> ReadWithLimits(Stream& stream, std::vector<absl::Duration> limits) {
  std::vector<absl::StatusCode> codes;
  for (const absl::Duration limit : limits) codes.push_back((co_await Read(stream, limit)).status().code());
  co_return codes;
}

TEST_F(TcpTest, WhatHasArrivedIsReadWithoutWaiting) {
  auto listener = Listen([](std::unique_ptr<Stream> stream) -> awaitable<void> {
    const auto asked = co_await Read(*stream);
    if (asked.ok()) co_await stream->WriteAll("421", kLimit);
  });
  auto stream = MustDial(listener->bound());
  char bytes[8];
  EXPECT_EQ(*stream->ReadArrived(bytes, sizeof bytes), 0u);
  EXPECT_TRUE(Do(stream->WriteAll("x", kLimit)).ok());
  absl::StatusOr<std::size_t> got = 0;
  while (got.ok() && *got == 0) got = stream->ReadArrived(bytes, sizeof bytes);
  EXPECT_EQ(*got, 3u);
  got = 0;
  while (got.ok() && *got == 0) got = stream->ReadArrived(bytes, sizeof bytes);
  EXPECT_EQ(got.status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(TcpTest, EachReadHasItsOwnLimit) {
  auto listener = Listen(Echo);
  auto stream = MustDial(listener->bound());
  EXPECT_TRUE(Do(stream->WriteAll("x", kLimit)).ok());
  const absl::Time start = absl::Now();
  // The first read arms the timer far away, the second near, the third again.
  const auto codes = Do(ReadWithLimits(*stream, {absl::Hours(1), kShort, 2 * kShort}));
  EXPECT_EQ(codes, (std::vector{absl::StatusCode::kOk, absl::StatusCode::kDeadlineExceeded,
                                absl::StatusCode::kDeadlineExceeded}));
  EXPECT_GE(absl::Now() - start, 3 * kShort);
}

TEST_F(TcpTest, PeerThatDoesNotReadMeetsTheWriteLimit) {
  auto listener = Listen([](std::unique_ptr<Stream> stream) -> awaitable<void> { (void)co_await Sleep(kLimit); });
  auto stream = MustDial(listener->bound());
  const std::string much(64 << 20, 'x');
  EXPECT_EQ(Do(stream->WriteAll(much, kShort)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(TcpTest, CloseOfThePeerIsTheEndAndAResetIsUnavailable) {
  auto listener = Listen([](std::unique_ptr<Stream> stream) -> awaitable<void> {
    (void)co_await Read(*stream);
    (void)co_await stream->WriteAll("bye", kLimit);
  });
  auto stream = MustDial(listener->bound());
  EXPECT_TRUE(Do(stream->WriteAll("x", kLimit)).ok());
  const auto [bytes, end] = Do(ReadAll(*stream));
  EXPECT_EQ(bytes, "bye");
  EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
  absl::Status written;
  for (int i = 0; i < 50 && written.ok(); ++i) {
    written = Do(stream->WriteAll("x", kLimit));
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(written.code(), absl::StatusCode::kUnavailable);
}

awaitable<void> CloseSoon(Stream& stream) {
  (void)co_await Sleep(kShort);
  stream.Close();
  stream.Close();
}

TEST_F(TcpTest, CloseEndsAPendingRead) {
  auto listener = Listen(Echo);
  auto stream = MustDial(listener->bound());
  asio::co_spawn(context_, CloseSoon(*stream), [](std::exception_ptr) {});
  EXPECT_EQ(Do(Read(*stream)).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Do(Read(*stream)).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Do(stream->WriteAll("x", kLimit)).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(stream->remote(), listener->bound());
}

TEST_F(TcpTest, UnreadInputDoesNotDestroyTheLastReply) {
  auto listener = Listen([](std::unique_ptr<Stream> stream) -> awaitable<void> {
    (void)co_await Sleep(kShort);  // The client's bytes have arrived, and stay unread.
    (void)co_await stream->WriteAll("421 too many errors\r\n", kLimit);
  });
  auto stream = MustDial(listener->bound());
  EXPECT_TRUE(Do(stream->WriteAll("NOOP\r\nNOOP\r\n", kLimit)).ok());
  absl::SleepFor(3 * kShort);
  const auto [bytes, end] = Do(ReadAll(*stream));
  EXPECT_EQ(bytes, "421 too many errors\r\n");
  EXPECT_EQ(end.code(), absl::StatusCode::kOutOfRange);
}

TEST_F(TcpTest, DrainCancelsWhatDoesNotEnd) {
  std::atomic<int> cancelled{0}, started{0};
  auto listener = Listen([&](std::unique_ptr<Stream> stream) -> awaitable<void> {
    ++started;
    const auto bytes = co_await Read(*stream, absl::Hours(1));
    if (absl::IsCancelled(bytes.status())) ++cancelled;
  });
  auto a = MustDial(listener->bound());
  auto b = MustDial(listener->bound());
  while (started < 2) absl::SleepFor(absl::Milliseconds(1));
  listener->Stop();
  listener->Stop();
  EXPECT_EQ(Dial(listener->bound()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(listener->Drain(kShort));
  EXPECT_EQ(cancelled, 2);
  EXPECT_EQ(listener->connections(), 0u);
}

TEST_F(TcpTest, CapsTurnClientsAwayWithALastWord) {
  ListenerOptions options{At("127.0.0.1:0")};
  options.admission = std::make_shared<Admission>(Admission::Caps{3, 2, nullptr});
  options.refusal = [](Refusal why) { return std::string(why == Refusal::kTotal ? "421 full" : "421 you"); };
  auto listener = Listen(Echo, options);
  DialOptions other;
  other.source = At("127.0.0.2:0").address;

  auto first = MustDial(listener->bound());
  auto second = MustDial(listener->bound());
  EXPECT_EQ(Do(ReadAll(*MustDial(listener->bound()))).first, "421 you");
  auto third = Dial(listener->bound(), other);
  ASSERT_TRUE(third.ok()) << third.status();
  auto fourth = Dial(listener->bound(), other);
  ASSERT_TRUE(fourth.ok());
  EXPECT_EQ(Do(ReadAll(**fourth)).first, "421 full");

  first->Close();  // A place becomes free.
  while (listener->connections() > 2) absl::SleepFor(absl::Milliseconds(1));
  auto fifth = MustDial(listener->bound());
  EXPECT_TRUE(Do(fifth->WriteAll("x", kLimit)).ok());
  EXPECT_EQ(*Do(Read(*fifth)), "x");
}

TEST_F(TcpTest, OutOfDescriptorsPausesAcceptingAndRecovers) {
  auto listener = Listen(Echo);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  auto stream = MustDial(listener->bound());  // The dialer's own machinery is warm.
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  std::vector<int> hogs;
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(client) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  for (int fd; (fd = dup(client)) >= 0;) hogs.push_back(fd);

  sockaddr_in to = {AF_INET, htons(listener->bound().port), {htonl(INADDR_LOOPBACK)}, {}};
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);  // The backlog takes it.
  absl::SleepFor(2 * Listener::kPause);
  EXPECT_EQ(Dial(listener->bound()).status().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const int fd : hogs) close(fd);

  ASSERT_EQ(send(client, "x", 1, 0), 1);
  char answer = 0;
  EXPECT_EQ(recv(client, &answer, 1, 0), 1);
  EXPECT_EQ(answer, 'x');
  close(client);
}

TEST_F(TcpTest, ListenErrorsSayWhatToDo) {
  auto listener = Listen(Echo);
  EXPECT_EQ(Listener::Start(pool_, {listener->bound()}, Echo).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Listener::Start(pool_, {At("192.0.2.1:0")}, Echo).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TcpTest, NobodyListeningIsUnavailable) {
  Endpoint gone;
  {
    auto listener = Listen(Echo);
    gone = listener->bound();
  }
  EXPECT_EQ(Dial(gone).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TcpTest, FullBacklogMeetsTheDialLimit) {
  const int hole = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t size = sizeof at;
  ASSERT_EQ(bind(hole, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(listen(hole, 0), 0);
  ASSERT_EQ(getsockname(hole, reinterpret_cast<sockaddr*>(&at), &size), 0);
  const Endpoint to = At(absl::StrCat("127.0.0.1:", ntohs(at.sin_port)).c_str());
  std::vector<absl::StatusOr<std::unique_ptr<Stream>>> fill;
  DialOptions options;
  options.limit = kShort;
  for (int i = 0; i < 8 && (fill.empty() || fill.back().ok()); ++i) fill.push_back(Dial(to, options));
  EXPECT_EQ(fill.back().status().code(), absl::StatusCode::kDeadlineExceeded);
  close(hole);
}

TEST_F(TcpTest, GuardStandsBeforeTheConnection) {
  auto listener = Listen(Echo);
  TcpDialer guarded{EgressGuard(), {}};
  EXPECT_EQ(Do(guarded.Dial(listener->bound(), {})).status().code(), absl::StatusCode::kPermissionDenied);
  DialOptions named;
  named.named_by_operator = true;
  EXPECT_TRUE(Do(guarded.Dial(listener->bound(), named)).ok());
}

TEST_F(TcpTest, OwnListenersAreNeverDialled) {
  auto listener = Listen(Echo);
  const std::uint16_t port = listener->bound().port;
  const EgressGuard open({*address::Cidr::Parse("127.0.0.0/8")});
  DialOptions named;
  named.named_by_operator = true;
  TcpDialer exact{open, {listener->bound()}};
  EXPECT_EQ(Do(exact.Dial(listener->bound(), named)).status().code(), absl::StatusCode::kFailedPrecondition);
  TcpDialer wildcard{open, {{At("0.0.0.0:1").address, port}}};
  EXPECT_EQ(Do(wildcard.Dial(listener->bound(), named)).status().code(), absl::StatusCode::kFailedPrecondition);
  TcpDialer other_port{open, {{At("0.0.0.0:1").address, static_cast<std::uint16_t>(port + 1)}}};
  EXPECT_TRUE(Do(other_port.Dial(listener->bound(), named)).ok());
}

TEST_F(TcpTest, SourceAddressIsUsedOrRefused) {
  auto listener = Listen(Echo);
  DialOptions options;
  options.source = At("127.0.0.7:0").address;
  auto stream = Dial(listener->bound(), options);
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ((*stream)->local().address, *options.source);
  options.source = At("192.0.2.1:0").address;
  EXPECT_EQ(Dial(listener->bound(), options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(TcpTest, ManyConnectionsAtOnce) {
  auto listener = Listen(Echo);
  std::vector<std::thread> clients;
  std::atomic<int> good{0};
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      asio::io_context context(1);
      for (int j = 0; j < 50; ++j) {
        auto stream = RunTask(context, dialer_.Dial(listener->bound(), {}));
        if (!stream.ok()) continue;
        const std::string bytes(1000 + j, 'a');
        if (RunTask(context, SendAndReceive(**stream, bytes)) == bytes) ++good;
      }
    });
  }
  for (auto& client : clients) client.join();
  EXPECT_EQ(good, 200);
}

}  // namespace
}  // namespace hikyaku::net
