// The engine against a small name server of our own on loopback.
#include "lib/dns/cares_engine.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/unit/dns/message_builder.h"

namespace hikyaku::dns {
namespace {

// Answers one kind of query on UDP and TCP, by the first label of its name.
class NameServer {
 public:
  NameServer() {
    // The same port for both; the other process that might hold it on TCP makes us try again.
    for (int i = 0; i < 20 && !Bind(); ++i) {
    }
    thread_ = std::thread([this] { Serve(); });
  }

  ~NameServer() {
    stop_ = true;
    thread_.join();
    close(udp_);
    close(tcp_);
  }

  net::Endpoint endpoint() const { return *net::ParseEndpoint(absl::StrCat("127.0.0.1:", port_)); }

 private:
  bool Bind() {
    sockaddr_in at = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {}};
    socklen_t size = sizeof at;
    udp_ = socket(AF_INET, SOCK_DGRAM, 0);
    tcp_ = socket(AF_INET, SOCK_STREAM, 0);
    bind(udp_, reinterpret_cast<sockaddr*>(&at), size);
    getsockname(udp_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    if (bind(tcp_, reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(tcp_, 5) == 0) return true;
    close(udp_);
    close(tcp_);
    return false;
  }

  void Serve() {
    while (!stop_) {
      pollfd polled[] = {{udp_, POLLIN, 0}, {tcp_, POLLIN, 0}};
      if (poll(polled, 2, 10) <= 0) continue;
      std::array<char, 4096> bytes;
      if (polled[0].revents) {
        sockaddr_in from;
        socklen_t size = sizeof from;
        const ssize_t count = recvfrom(udp_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
        const std::string answer = Answer(std::string(bytes.data(), count), /*udp=*/true);
        if (!answer.empty()) sendto(udp_, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
      if (polled[1].revents) {
        const int connection = accept(tcp_, nullptr, nullptr);
        const ssize_t count = recv(connection, bytes.data(), bytes.size(), 0);
        const std::string answer = Answer(std::string(bytes.data() + 2, count - 2), /*udp=*/false);
        const std::string length{static_cast<char>(answer.size() >> 8), static_cast<char>(answer.size() & 0xFF)};
        const std::string framed = length + answer;
        send(connection, framed.data(), framed.size(), MSG_NOSIGNAL);
        close(connection);
      }
    }
  }

  static std::string Answer(const std::string& query, bool udp) {
    const std::string label = query.substr(13, static_cast<unsigned char>(query[12]));
    if (label == "silent") return "";
    if (label == "proof") return AnswerWithFlags(query);
    const std::string name = label + ".test";
    MessageBuilder builder(name, RecordType::kMx);
    if (label == "gone") builder.Code(3).Soa("test", 60, 60);
    if (label == "broken") builder.Code(2);
    if (label == "good") builder.Mx(name, 60, 10, "mx.test");
    if (label == "big" && !udp) builder.Mx(name, 60, 10, "tcp.test");
    std::string message = builder.Build();
    message.replace(0, 2, query.substr(0, 2));
    if (label == "big" && udp) message[2] |= 0x02;  // TC.
    return message;
  }

  // Its one MX says whether AD and DO were asked for.
  static std::string AnswerWithFlags(const std::string& query) {
    const bool ad = (query[3] & 0x20) != 0;
    const bool opt = query[11] == 1 && query[query.size() - 9] == 41;
    const bool proof = opt && (query[query.size() - 4] & 0x80) != 0;
    MessageBuilder builder("proof.test", RecordType::kMx);
    std::string message = builder.Mx("proof.test", 60, ad, proof ? "do.test" : "plain.test").Build();
    return message.replace(0, 2, query.substr(0, 2));
  }

  int udp_ = -1;
  int tcp_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class CaresEngineTest : public testing::Test {
 protected:
  CaresOptions Options() {
    CaresOptions options;
    options.servers = {server_.endpoint()};
    options.timeout = absl::Milliseconds(50);
    options.tries = 2;
    return options;
  }

  absl::StatusOr<std::string> Ask(const std::string& name) {
    absl::Notification answered;
    absl::StatusOr<std::string> result;
    engine_->Query(name, RecordType::kMx, [&](absl::StatusOr<std::string> message) {
      result = std::move(message);
      answered.Notify();
    });
    answered.WaitForNotification();
    return result;
  }

  NameServer server_;
  std::unique_ptr<QueryEngine> engine_ = *CreateCaresEngine(Options());
};

TEST_F(CaresEngineTest, BringsTheAnswersBytes) {
  const auto message = Ask("good.test");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(ParseResponse(*message, "good.test", RecordType::kMx)->records[0].text, "mx.test");
}

TEST_F(CaresEngineTest, NoSuchNameComesAsAMessageWithItsSoa) {
  const auto message = Ask("gone.test");
  ASSERT_TRUE(message.ok()) << message.status();
  const auto response = ParseResponse(*message, "gone.test", RecordType::kMx);
  EXPECT_EQ(response->code, ResponseCode::kNxDomain);
  EXPECT_EQ(response->negative_ttl, absl::Seconds(60));
}

TEST_F(CaresEngineTest, NoDataComesAsAMessage) {
  const auto message = Ask("empty.test");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_TRUE(ParseResponse(*message, "empty.test", RecordType::kMx)->records.empty());
}

TEST_F(CaresEngineTest, ServerFailureAndSilenceAreToldApart) {
  EXPECT_EQ(Ask("broken.test").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Ask("silent.test").status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(CaresEngineTest, TruncatedAnswersAreAskedAgainOverTcp) {
  const auto message = Ask("big.test");
  ASSERT_TRUE(message.ok()) << message.status();
  EXPECT_EQ(ParseResponse(*message, "big.test", RecordType::kMx)->records[0].text, "tcp.test");
}

TEST_F(CaresEngineTest, ProofIsAskedForWhereItIsWanted) {
  for (const bool wanted : {false, true}) {
    CaresOptions options = Options();
    options.ask_for_proof = wanted;
    engine_ = *CreateCaresEngine(options);
    const auto message = Ask("proof.test");
    ASSERT_TRUE(message.ok()) << message.status();
    const auto response = ParseResponse(*message, "proof.test", RecordType::kMx);
    EXPECT_EQ(response->records[0].preference, wanted);
    EXPECT_EQ(response->records[0].text, wanted ? "do.test" : "plain.test");
  }
}

// All that the plain way does, the other one does too.
TEST_F(CaresEngineTest, AskingForProofTellsFailuresApart) {
  CaresOptions options = Options();
  options.ask_for_proof = true;
  engine_ = *CreateCaresEngine(options);
  const auto gone = Ask("gone.test");
  ASSERT_TRUE(gone.ok()) << gone.status();
  EXPECT_EQ(ParseResponse(*gone, "gone.test", RecordType::kMx)->code, ResponseCode::kNxDomain);
  EXPECT_TRUE(Ask("empty.test").ok());
  EXPECT_EQ(Ask("broken.test").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Ask("silent.test").status().code(), absl::StatusCode::kDeadlineExceeded);
  const auto big = Ask("big.test");
  ASSERT_TRUE(big.ok()) << big.status();
  EXPECT_EQ(ParseResponse(*big, "big.test", RecordType::kMx)->records[0].text, "tcp.test");
}

TEST_F(CaresEngineTest, ManyQueriesAtOnce) {
  std::atomic<int> good{0}, all{0};
  for (int i = 0; i < 500; ++i) {
    engine_->Query("good.test", RecordType::kMx, [&](absl::StatusOr<std::string> message) {
      if (message.ok()) ++good;
      ++all;
    });
  }
  while (all < 500) std::this_thread::yield();
  EXPECT_EQ(good, 500);
}

TEST_F(CaresEngineTest, StoppingAnswersWhatIsOpen) {
  std::atomic<int> cancelled{0};
  for (int i = 0; i < 10; ++i) {
    engine_->Query("silent.test", RecordType::kMx, [&](absl::StatusOr<std::string> message) {
      if (absl::IsCancelled(message.status())) ++cancelled;
    });
  }
  engine_.reset();
  EXPECT_EQ(cancelled, 10);
}

TEST_F(CaresEngineTest, TooManyOpenQueriesAreRefused) {
  CaresOptions options = Options();
  options.max_open = 1;
  engine_ = *CreateCaresEngine(options);
  engine_->Query("silent.test", RecordType::kMx, [](absl::StatusOr<std::string>) {});
  EXPECT_EQ(Ask("good.test").status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace hikyaku::dns
