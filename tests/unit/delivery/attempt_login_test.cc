// Attempts at routes with a login, and from chosen sources.
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "tests/unit/delivery/attempt_fixture.h"

namespace hikyaku::delivery {
namespace {

class AttemptLogin : public AttemptTest {
 protected:
  AttemptLogin() {
    Password("secret");
    relay_ = dialer_->Listen("11.0.0.9:587", {"PIPELINING", "AUTH PLAIN LOGIN"});
    relay_->On("AUTH", {"235 2.7.0 ok"});
    Route(/*allow_clear=*/true);
  }

  void Password(const std::string& text) { std::ofstream(file_, std::ios::trunc) << text << "\n"; }

  void Route(bool allow_clear, const std::string& domain = "d.test") {
    RouteRow row{domain, "[11.0.0.9]:587"};
    row.tls = TlsLevel::kNone;
    row.login = LoginOptions{"me", file_, {}, allow_clear};
    routes_ = *RouteTable::Create({row}, 25);
  }

  const std::string file_ = absl::StrCat(std::getenv("TEST_TMPDIR"), "/password");
  std::shared_ptr<FakePeer> relay_;
};

TEST_F(AttemptLogin, LogsInOnceForAConnection) {
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(relay_->connections(), 1);
  const std::string plain = absl::Base64Escape(absl::string_view("\0me\0secret", 10));
  EXPECT_EQ(relay_->Count("AUTH PLAIN " + plain), 1);
  EXPECT_EQ(relay_->Count("AUTH"), 1);
}

TEST_F(AttemptLogin, ConnectionOfAnotherPasswordIsNotUsed) {
  EXPECT_EQ(One().kind, Kind::kDelivered);
  Password("another one");
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(relay_->connections(), 2);
  EXPECT_EQ(relay_->Count("AUTH"), 2);
}

TEST_F(AttemptLogin, MailWithoutALoginDoesNotUseTheConnection) {
  EXPECT_EQ(One().kind, Kind::kDelivered);
  routes_ = *RouteTable::Create({{"d.test", "[11.0.0.9]:587"}}, 25);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(relay_->connections(), 2);
  EXPECT_EQ(relay_->Count("AUTH"), 1);
}

TEST_F(AttemptLogin, RefusalIsTransientAndNotRepeated) {
  relay_->On("AUTH", {"535 5.7.8 bad credentials", "235 ok"});
  const Outcome outcome = One();
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.scope, outcome::Scope::kHost);
  EXPECT_EQ(outcome.ToString(),
            "535 4.7.8 the login of delivery.routes[0] (d.test) is refused: bad credentials ([11.0.0.9]:587)");
  EXPECT_EQ(One().ToString(), outcome.ToString());
  EXPECT_EQ(relay_->connections(), 1) << "it rests";
  clock_.Advance(absl::Seconds(61));
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_FALSE(guard_.begun && relay_->bodies().size() != 1);
}

TEST_F(AttemptLogin, NoPasswordInTheClear) {
  Route(/*allow_clear=*/false);
  const Outcome outcome = One();
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.0");
  EXPECT_TRUE(absl::StrContains(outcome.text, "TLS has not proven the host")) << outcome.text;
  EXPECT_EQ(relay_->Count("AUTH"), 0);
  EXPECT_EQ(relay_->Count("MAIL"), 0);
}

TEST_F(AttemptLogin, NothingInCommon) {
  relay_->On("EHLO", {"250-fake\r\n250 AUTH CRAM-MD5 XOAUTH2"});
  EXPECT_TRUE(absl::StrContains(One().text, "the host offers only CRAM-MD5 XOAUTH2"));
  EXPECT_EQ(relay_->Count("AUTH"), 0);
}

TEST_F(AttemptLogin, UnreadablePasswordAsksNobody) {
  std::remove(file_.c_str());
  const Outcome outcome = One();
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.0");
  EXPECT_TRUE(absl::StrContains(outcome.text, "cannot be read")) << outcome.text;
  EXPECT_TRUE(dialer_->dialled().empty());
}

TEST_F(AttemptLogin, ARowWithALoginAsksForProof) {
  RouteRow row{"d.test", "[relay.test]:587"};
  row.login = LoginOptions{"me", file_, {}, false};
  EXPECT_EQ(RouteTable::Create({row}, 25)->Route({"d.test"}).rule->tls, TlsLevel::kVerify);
  row.login->allow_clear = true;
  EXPECT_EQ(RouteTable::Create({row}, 25)->Route({"d.test"}).rule->tls, std::nullopt);
}

// Sources.

Source From(const char* address, const char* helo) {
  Source source;
  source.name = helo;
  source.address = address::IpAddress::Parse(address).value();
  source.helo = helo;
  return source;
}

TEST_F(AttemptTest, SourceHasItsOwnNameAndConnections) {
  auto mx1 = Mx1();
  RouteRow row{"d.test", ""};
  row.sources = "a";
  routes_ = *RouteTable::Create({row}, 25);
  sources_ = *Sources::Create({{"a", {From("192.0.2.1", "a.us.test")}}, {"default", {From("192.0.2.2", "b.us.test")}}});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  routes_ = RouteTable(25);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(mx1->connections(), 2);
  EXPECT_EQ(mx1->Count("EHLO a.us.test"), 1);
  EXPECT_EQ(mx1->Count("EHLO b.us.test"), 1);
}

TEST_F(AttemptTest, FullWarmUpPlanIsToldAndAsksNobody) {
  auto mx1 = Mx1();
  Source source = From("192.0.2.1", "a.us.test");
  source.warm_up = WarmUp{absl::UnixEpoch(), std::vector<std::uint64_t>(50'000, 1)};
  sources_ = *Sources::Create({{"default", {source}}});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  const Outcome outcome = One();
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.3.2");
  EXPECT_TRUE(absl::StrContains(outcome.text, "warm-up plan")) << outcome.text;
  EXPECT_EQ(mx1->bodies().size(), 1u);
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(One().kind, Kind::kDelivered);
}

TEST_F(AttemptTest, PoolOfAnotherFamilyIsNoSource) {
  Mx1();
  sources_ = *Sources::Create({{"default", {From("2001:db8::1", "six.us.test")}}});
  EXPECT_TRUE(absl::StrContains(One().text, "has no source for IPv4"));
  EXPECT_TRUE(dialer_->dialled().empty());
}

}  // namespace
}  // namespace hikyaku::delivery
