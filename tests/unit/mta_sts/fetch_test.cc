#include "lib/mta_sts/fetch.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/dns/fake_resolver.h"
#include "lib/net/limit.h"
#include "tests/unit/https/fake_web.h"
#include "tests/unit/net/run_virtual.h"

namespace hikyaku::mta_sts {
namespace {

using https::FakeSite;
using https::FakeWeb;

constexpr char kPolicy[] = "version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 86400\n";

class FetchTest : public testing::Test {
 protected:
  FetchTest() { resolver_.SetAddresses("mta-sts.d.test", {"11.0.0.80"}); }
  ~FetchTest() override {
    web_->Cancel();
    while (web_->connections() > 0) net::Turn(loop_);
  }

  FakeSite& Site(std::vector<std::string> names = {"mta-sts.d.test"}) {
    FakeSite& site = web_->Listen("11.0.0.80:443", std::move(names));
    site.answer = FakeWeb::Page(kPolicy);
    return site;
  }

  Fetched Run() { return net::RunTask(loop_, Fetch({resolver_, web_, context_}, "d.test")); }
  std::string Result() { return std::string(FetchResultName(Run().result)); }

  net::VirtualLoop loop_;
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeWeb> web_ = std::make_shared<FakeWeb>();
  std::shared_ptr<const tls::ClientContext> context_ = tls::Client();
};

TEST_F(FetchTest, GetsThePolicy) {
  const FakeSite& site = Site();
  const Fetched fetched = Run();
  ASSERT_TRUE(fetched.ok()) << fetched.why;
  EXPECT_EQ(fetched.text, kPolicy);
  EXPECT_EQ(fetched.policy.mx, std::vector<std::string>{"mx.d.test"});
  EXPECT_EQ(site.asks.at(0),
            "GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: mta-sts.d.test\r\nAccept: text/plain\r\n"
            "User-Agent: hikyaku\r\nConnection: close\r\n\r\n");
}

TEST_F(FetchTest, BelievesNobodyElse) {
  Site({"d.test", "mta-sts.other.test"});
  const Fetched fetched = Run();
  EXPECT_EQ(fetched.result, FetchResult::kCertificate);
  EXPECT_NE(fetched.why.find("mta-sts.d.test"), std::string::npos) << fetched.why;
  Site().identity = tls::Server(tls::MakeIdentity("web", {"mta-sts.d.test"}, nullptr));
  EXPECT_EQ(Result(), "certificate") << "self-signed";
  Site().identity = tls::Server(tls::MakeIdentity("web", {"mta-sts.d.test"}, &tls::Authority(), -absl::Hours(1)));
  EXPECT_EQ(Result(), "certificate") << "expired";
  Site({"*.d.test"});
  EXPECT_EQ(Result(), "ok");
}

TEST_F(FetchTest, FollowsNoRedirect) {
  Site().answer = FakeWeb::Page("", "302 Found\r\nLocation: https://mta-sts.d.test/x\r\nContent-Type: text/plain");
  const Fetched fetched = Run();
  EXPECT_EQ(fetched.result, FetchResult::kHttp);
  EXPECT_EQ(fetched.why, "the answer is 302, not 200");
  EXPECT_EQ(web_->dialled().size(), 1u);
}

TEST_F(FetchTest, SaysWhatIsWrongWithTheAnswer) {
  Site().answer = FakeWeb::Page(std::string(Policy::kMaxSize + 1, ' '));
  EXPECT_EQ(Result(), "http");
  Site().answer = FakeWeb::Page("version: STSv1\n");
  EXPECT_EQ(Result(), "invalid");
}

// An attacker cannot shorten a policy whose length nobody told.
TEST_F(FetchTest, ABodyThatIsCutIsNoPolicy) {
  FakeSite& site = Site();
  site.answer = absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n", kPolicy);
  EXPECT_EQ(Result(), "ok");
  site.says_end = false;
  EXPECT_EQ(Result(), "http");
}

TEST_F(FetchTest, TriesAddressesOfBothFamilies) {
  resolver_.SetAddresses("mta-sts.d.test", {"2400::1", "2400::2", "2400::3", "2400::4", "11.0.0.80"});
  Site();
  EXPECT_EQ(Result(), "ok");
  EXPECT_EQ(web_->dialled(), (std::vector<std::string>{"[2400::1]:443", "11.0.0.80:443"}));
}

TEST_F(FetchTest, TriesFourAddresses) {
  resolver_.SetAddresses("mta-sts.d.test", {"11.0.0.1", "11.0.0.2", "11.0.0.3", "11.0.0.4", "11.0.0.80"});
  Site();
  EXPECT_EQ(Result(), "unreachable");
  EXPECT_EQ(web_->dialled().size(), 4u);
}

TEST_F(FetchTest, NeedsAnAddress) {
  resolver_.SetAddresses("mta-sts.d.test", {});
  EXPECT_EQ(Result(), "no_address");
  resolver_.Fail("mta-sts.d.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Result(), "no_address");
}

TEST_F(FetchTest, ASilentHostCostsSeconds) {
  Site().before = absl::Hours(2);
  const net::TimePoint start = net::SteadyClock::now();
  EXPECT_EQ(Result(), "http");
  EXPECT_LE(-net::LeftUntil(start), kFetchLimit);
}

}  // namespace
}  // namespace hikyaku::mta_sts
