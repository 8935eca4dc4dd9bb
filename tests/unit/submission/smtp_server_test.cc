// The listeners together, over loopback.
#include "services/submission/smtp_server.h"

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/net/dialer.h"
#include "tests/unit/net/run.h"
#include "tests/unit/submission/fake_acceptor.h"

namespace hikyaku::submission {
namespace {

awaitable<std::string> ReadSome(net::Stream& stream) {
  char bytes[512];
  const absl::StatusOr<std::size_t> count = co_await stream.ReadSome(bytes, sizeof bytes, absl::Seconds(10));
  co_return count.ok() ? std::string(bytes, *count) : count.status().ToString();
}

class SmtpServerTest : public testing::Test {
 protected:
  SmtpServerTest() {
    config_.set_hostname("mail.example.jp");
    for (int i = 0; i < 2; ++i) config_.mutable_listeners()->add_smtp()->set_address("127.0.0.1:0");
    config_.mutable_limits()->mutable_message_size()->set_bytes(1 << 20);
    config_.mutable_smtp()->mutable_idle_timeout()->set_seconds(60);
    config_.add_trusted_networks("127.0.0.1/32");
  }

  void Start(int connections, int per_client) {
    config_.mutable_limits()->set_connections(connections);
    config_.mutable_limits()->set_connections_per_client(per_client);
    auto server = SmtpServer::Start(pool_, config_, {&acceptor_, &policy_, &budget_, &Clock::System()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Opens one more connection, to the listeners in turn; gives the code of the greeting.
  std::string Connect(const char* from) {
    net::DialOptions options;
    options.source = *address::IpAddress::Parse(from);
    auto stream = net::RunTask(context_, dialer_.Dial(server_->bound()[streams_.size() % 2], options));
    EXPECT_TRUE(stream.ok()) << stream.status();
    streams_.push_back(*std::move(stream));
    return net::RunTask(context_, ReadSome(*streams_.back())).substr(0, 9);
  }

  v1::Config config_;
  net::IoPool pool_{2};
  FakeAcceptor acceptor_;
  LiteralPolicy policy_;
  MemoryBudget budget_{1 << 20};
  std::unique_ptr<SmtpServer> server_;
  asio::io_context context_{1};
  net::TcpDialer dialer_{net::EgressGuard({*address::Cidr::Parse("127.0.0.0/8")}), {}};
  std::vector<std::unique_ptr<net::Stream>> streams_;
};

TEST_F(SmtpServerTest, ConnectionsCountOverAllListeners) {
  Start(3, 100);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Connect("127.0.0.1").substr(0, 4), "220 ");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Connect("127.0.0.1"), "421 4.3.2");
}

TEST_F(SmtpServerTest, PerClientCapCountsOverAllListeners) {
  Start(100, 2);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Connect("127.0.0.1").substr(0, 4), "220 ");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Connect("127.0.0.1"), "421 4.7.0");
  EXPECT_EQ(Connect("127.0.0.2").substr(0, 4), "220 ");
}

TEST_F(SmtpServerTest, WithoutACapStrangersKeepTheDefault) {
  Start(1000, 0);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Connect("127.0.0.2").substr(0, 4), "220 ");
  EXPECT_EQ(Connect("127.0.0.2"), "421 4.7.0");
  for (int i = 0; i < 110; ++i) ASSERT_EQ(Connect("127.0.0.1").substr(0, 4), "220 ");

  config_.add_trusted_networks("127.0.0.2/32");
  ASSERT_TRUE(server_->Reload(config_).ok());
  EXPECT_EQ(Connect("127.0.0.2").substr(0, 4), "220 ");
}

}  // namespace
}  // namespace hikyaku::submission
