// What is POSTed: what is asked of the host, and what becomes of each answer.
#include "lib/delivery/post.h"

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/dns/fake_resolver.h"
#include "lib/net/limit.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/https/fake_web.h"
#include "tests/unit/net/run_virtual.h"

namespace hikyaku::delivery {
namespace {

using https::FakeSite;
using https::FakeWeb;
using outcome::Kind;
using outcome::Outcome;

class PostTest : public testing::Test {
 protected:
  PostTest() {
    resolver_.SetAddresses("rua.test", {"11.0.0.80"});
    lease_.delivery.mutable_envelope()->set_post_type("application/tlsrpt+gzip");
    lease_.body = std::make_shared<const std::string>("packed\r\n\0bytes", 14);
  }
  ~PostTest() override {
    web_->Cancel();
    while (web_->connections() > 0) net::Turn(loop_);
  }

  FakeSite& Site(const std::string& head = "201 Created", const std::string& at = "11.0.0.80:443") {
    FakeSite& site = web_->Listen(at, {"rua.test"});
    site.answer = FakeWeb::Page("", head);
    return site;
  }

  Outcome Run(const std::string& url = "https://rua.test/v1?x=1") {
    lease_.delivery.mutable_recipients(0)->set_address(url);
    const auto outcome = net::RunTask(loop_, Post({resolver_, web_, context_}, lease_));
    EXPECT_TRUE(outcome.has_value());
    return outcome.value_or(Outcome());
  }

  net::VirtualLoop loop_;
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeWeb> web_ = std::make_shared<FakeWeb>();
  std::shared_ptr<const tls::ClientContext> context_ = tls::Client();
  queue::Lease lease_ = MakeLease("https://rua.test", {"https://rua.test/v1"});
};

TEST_F(PostTest, BringsTheBytes) {
  const FakeSite& site = Site();
  const Outcome outcome = Run();
  EXPECT_EQ(outcome.kind, Kind::kDelivered);
  EXPECT_TRUE(outcome.final_delivery);
  EXPECT_EQ(outcome.ToString(), "2.0.0 the answer to POST is 201 (rua.test [11.0.0.80]:443)");
  EXPECT_EQ(site.asks.at(0), absl::StrCat("POST /v1?x=1 HTTP/1.1\r\nHost: rua.test\r\nUser-Agent: hikyaku\r\n"
                                          "Connection: close\r\nContent-Type: application/tlsrpt+gzip\r\n"
                                          "Content-Length: 14\r\n\r\n",
                                          *lease_.body));
}

TEST_F(PostTest, GoesToAnotherPort) {
  const FakeSite& site = Site("200 OK", "11.0.0.80:8443");
  EXPECT_EQ(Run("https://rua.test:8443").kind, Kind::kDelivered);
  EXPECT_TRUE(absl::StartsWith(site.asks.at(0), "POST / HTTP/1.1\r\nHost: rua.test:8443\r\n"));
}

TEST_F(PostTest, EveryAnswerOf2xxIsASuccess) {
  for (const char* head : {"200 OK", "202 Accepted", "204 No Content", "299 ?"}) {
    Site(head);
    EXPECT_EQ(Run().kind, Kind::kDelivered) << head;
  }
}

// RFC 8460 §5.4: "other codes could indicate a delivery failure, and may be retried as per local sender policy".
TEST_F(PostTest, TriesAgainWhatMayBeMended) {
  for (const char* head : {"500 Oops", "503 Busy", "429 Slow down", "408 Late"}) {
    Site(head);
    EXPECT_EQ(Run().enhanced.ToString(), "4.5.0") << head;
  }
  for (const char* head : {"404 Gone", "401 Who", "413 Large"}) {
    Site(head);
    EXPECT_EQ(Run().enhanced.ToString(), "5.5.0") << head;
  }
}

TEST_F(PostTest, FollowsNoRedirect) {
  Site("307 There\r\nLocation: https://rua.test/there");
  EXPECT_EQ(Run().ToString(), "5.5.0 the answer to POST is 307 (rua.test [11.0.0.80]:443)");
  EXPECT_EQ(web_->dialled().size(), 1u);
}

TEST_F(PostTest, WaitsForAHostThatProvesItself) {
  web_->Listen("11.0.0.80:443", {"other.test"});
  const Outcome outcome = Run();
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.5");
  EXPECT_TRUE(absl::StrContains(outcome.text, "rua.test")) << outcome.text;
}

TEST_F(PostTest, WaitsForAHostThatIsNotThere) {
  EXPECT_EQ(Run().enhanced.ToString(), "4.4.1");
  resolver_.SetAddresses("rua.test", {});
  EXPECT_EQ(Run().enhanced.ToString(), "4.4.3");
}

TEST_F(PostTest, ASilentHostCostsSeconds) {
  Site().before = absl::Hours(2);
  const net::TimePoint start = net::SteadyClock::now();
  EXPECT_EQ(Run().enhanced.ToString(), "4.4.2");
  EXPECT_LE(-net::LeftUntil(start), absl::Minutes(2));
}

// However much it says: the head is all that is read.
TEST_F(PostTest, AnEndlessAnswerIsNotWaitedFor) {
  Site().answer = absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", std::string(100'000, 'x'));
  EXPECT_EQ(Run().kind, Kind::kDelivered);
  Site().answer = absl::StrCat("HTTP/1.1 200 OK\r\nX: ", std::string(100'000, 'x'));
  EXPECT_EQ(Run().enhanced.ToString(), "4.4.2");
}

TEST_F(PostTest, AsksNobodyForABadUrl) {
  const Outcome outcome = Run("https://user@rua.test/");
  EXPECT_EQ(outcome.ToString(), "5.1.3 the URL has a login");
  EXPECT_EQ(outcome.kind, Kind::kPermanent);
  EXPECT_TRUE(web_->dialled().empty());
}

}  // namespace
}  // namespace hikyaku::delivery
