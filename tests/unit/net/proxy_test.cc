// SOCKS 5 and the PROXY header, alone and over a connection.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/net/memory_stream.h"
#include "lib/net/proxy_dialer.h"
#include "lib/net/proxy_header.h"
#include "lib/net/socks5.h"
#include "tests/unit/net/run.h"

namespace hikyaku::net {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(5);

Endpoint At(const char* text) { return *ParseEndpoint(text); }
std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }
std::string Bytes(absl::string_view hex) { return absl::HexStringToBytes(hex); }

// What the client writes after each answer, until it is done or fails.
std::string Talk(Socks5& socks, const std::vector<std::string>& answers) {
  std::string said = Hex(socks.Start().output);
  for (const std::string& answer : answers) {
    auto step = socks.Feed(Bytes(answer));
    if (!step.ok()) return absl::StrCat(said, " ", step.status().ToString());
    absl::StrAppend(&said, " ", Hex(step->output), step->done ? "done" : "");
  }
  return said;
}

TEST(Socks5, WithoutLogin) {
  Socks5 socks(At("192.0.2.1:25"), "", "");
  EXPECT_EQ(Talk(socks, {"0500", "0500000100", "0000000000"}), "050100 05010001c00002010019  done");
  EXPECT_EQ(socks.wanted(), 0u);
}

TEST(Socks5, WithLoginAndIpv6) {
  Socks5 socks(At("[2001:db8::1]:587"), "me", "pw");
  EXPECT_EQ(Talk(socks, {"0502", "0100", "0500000400", "00000000000000000000000000000000", "00"}),
            "05020002 01026d65027077 0501000420010db8000000000000000000000001024b   done");
}

TEST(Socks5, AnswerWithAName) {
  Socks5 socks(At("192.0.2.1:25"), "", "");
  EXPECT_EQ(Talk(socks, {"0500", "0500000303", "6162630019"}), "050100 05010001c00002010019  done");
}

TEST(Socks5, OctetByOctetTakesNoMoreThanItsOwn) {
  Socks5 socks(At("192.0.2.1:25"), "", "");
  socks.Start();
  const std::string answers = Bytes(
                                  "0500"
                                  "05000001000000000000") +
                              "220 mx";
  std::size_t at = 0;
  for (bool done = false; !done;) {
    ASSERT_GT(socks.wanted(), 0u);
    done = socks.Feed(answers.substr(at++, 1))->done;
  }
  EXPECT_EQ(answers.substr(at), "220 mx");
}

struct RefusalCase {
  std::vector<std::string> answers;
  absl::StatusCode code;
  const char* word;
};

TEST(Socks5, Refusals) {
  const absl::StatusCode theirs = absl::StatusCode::kUnavailable, ours = absl::StatusCode::kInvalidArgument;
  const RefusalCase cases[] = {
      {{"0400"}, ours, "does not speak SOCKS 5"},
      {{"4854"}, ours, "does not speak SOCKS 5"},
      {{"05ff"}, ours, "another kind of login"},
      {{"0502", "0101"}, ours, "refuses the user or the password"},
      {{"0500", "0501000100"}, ours, "general failure"},
      {{"0500", "0502000100"}, ours, "rules"},
      {{"0500", "0503000100"}, theirs, "network unreachable"},
      {{"0500", "0504000100"}, theirs, "host unreachable"},
      {{"0500", "0505000100"}, theirs, "connection refused"},
      {{"0500", "05ff000100"}, ours, "unknown failure 255"},
      {{"0500", "0500000900"}, ours, "unknown kind of address"},
  };
  for (const RefusalCase& c : cases) {
    Socks5 socks(At("192.0.2.1:25"), "me", "pw");
    socks.Start();
    absl::Status status;
    for (const std::string& answer : c.answers) status = socks.Feed(Bytes(answer)).status();
    EXPECT_EQ(status.code(), c.code) << c.word;
    EXPECT_NE(status.message().find(c.word), std::string::npos) << status;
  }
  Socks5 nobody(At("192.0.2.1:25"), "", "");
  nobody.Start();
  EXPECT_FALSE(nobody.Feed(Bytes("0502")).ok()) << "a login that was not offered";
}

TEST(ProxyHeader, BothFamilies) {
  EXPECT_EQ(Hex(ProxyHeader(At("192.0.2.7:0"), At("198.51.100.1:25"))),
            "0d0a0d0a000d0a515549540a"
            "2111000c"
            "c0000207"
            "c6336401"
            "0000"
            "0019");
  EXPECT_EQ(Hex(ProxyHeader(At("[2001:db8::7]:0"), At("[2001:db8::1]:25"))),
            "0d0a0d0a000d0a515549540a"
            "21210024"
            "20010db8000000000000000000000007"
            "20010db8000000000000000000000001"
            "0000"
            "0019");
}

// A proxy that answers by a script, at the other end of a stream in memory.
class FakeProxy : public Dialer {
 public:
  explicit FakeProxy(std::string answers) : answers_(std::move(answers)) {}

  awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(Endpoint to, DialOptions options) override {
    dialled = to;
    named = options.named_by_operator;
    if (fail) co_return absl::UnavailableError("refused");
    auto [ours, theirs] = MakeMemoryPair(co_await asio::this_coro::executor, {}, to);
    peer = std::move(theirs);
    co_await peer->WriteAll(answers_, kLimit);
    if (answers_.empty()) peer->Close();
    co_return std::move(ours);
  }

  Endpoint dialled;
  bool named = false;
  bool fail = false;
  std::unique_ptr<Stream> peer;

 private:
  const std::string answers_;
};

class ProxyDialerTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Stream>> Dial(const std::string& answers, const char* to, Proxy::Kind kind,
                                               bool fail = false) {
    proxy_ = std::make_shared<FakeProxy>(answers);
    proxy_->fail = fail;
    ProxyDialer dialer{EgressGuard(), proxy_};
    DialOptions options;
    options.limit = kLimit;
    options.source = address::IpAddress::Parse("192.0.2.7").value();
    options.proxy = std::make_shared<const Proxy>(Proxy{kind, At("127.0.0.1:1080"), "", ""});
    return RunTask(context_, dialer.Dial(At(to), options));
  }

  boost::asio::io_context context_;
  std::shared_ptr<FakeProxy> proxy_;
};

TEST_F(ProxyDialerTest, SocksLeavesTheGreetingUnread) {
  auto stream = Dial(Bytes("0500"
                           "05000001000000000000") +
                         "220 mx\r\n",
                     "11.0.0.1:25", Proxy::Kind::kSocks5);
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(proxy_->dialled.text(), "127.0.0.1:1080");
  EXPECT_TRUE(proxy_->named) << "the proxy may be where no mail host may";
  char buffer[64];
  EXPECT_EQ(*(*stream)->ReadArrived(buffer, sizeof(buffer)), 8u);
}

TEST_F(ProxyDialerTest, TheGuardIsAskedAboutTheFarEnd) {
  EXPECT_EQ(Dial(Bytes("0500"), "10.0.0.1:25", Proxy::Kind::kSocks5).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(proxy_->dialled, Endpoint());
}

TEST_F(ProxyDialerTest, WhoIsToBlame) {
  const auto code = [&](absl::string_view hex, bool fail = false) {
    return Dial(Bytes(hex), "11.0.0.1:25", Proxy::Kind::kSocks5, fail).status();
  };
  EXPECT_EQ(code("0500"
                 "05050001000000000000")
                .code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(code("0500"
                 "05020001000000000000")
                .code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("").code(), absl::StatusCode::kResourceExhausted) << "it hung up";
  EXPECT_EQ(code("0500", /*fail=*/true).message(), "proxy 127.0.0.1:1080: refused");
}

TEST_F(ProxyDialerTest, HaproxyHearsTheHeaderFirst) {
  auto stream = Dial("220 mx\r\n", "11.0.0.1:25", Proxy::Kind::kHaproxy);
  ASSERT_TRUE(stream.ok()) << stream.status();
  char buffer[64];
  const std::size_t size = *proxy_->peer->ReadArrived(buffer, sizeof(buffer));
  EXPECT_EQ(absl::string_view(buffer, size), ProxyHeader(At("192.0.2.7:0"), At("11.0.0.1:25")));
}

}  // namespace
}  // namespace hikyaku::net
