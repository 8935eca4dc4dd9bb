// The ladder of TLS in an attempt: what goes out in the clear, what over TLS, and what does not go at all.
#include "tests/unit/delivery/attempt_tls_fixture.h"

namespace hikyaku::delivery {
namespace {

TEST_F(AttemptTlsTest, TakesTlsWhereItIsOffered) {
  const auto mx = Mx();
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_EQ(mx->commands(), (Strings{"EHLO us.test", "STARTTLS", "EHLO us.test", "MAIL FROM:<a@sender.test>",
                                     "RCPT TO:<b@d.test>", "DATA"}));
  ASSERT_TRUE(outcome.tls);
  EXPECT_EQ(outcome.tls->version, "TLSv1.3");
  EXPECT_TRUE(outcome.tls->verified);
  EXPECT_EQ(outcome.tls->policy, "opportunistic by delivery.tls");
}

// BATTERY T20.
TEST_F(AttemptTlsTest, OpportunisticTakesAnyCertificateAndMarksIt) {
  Mx(SelfSigned());
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered);
  ASSERT_TRUE(outcome.tls);
  EXPECT_FALSE(outcome.tls->verified);
  EXPECT_EQ(outcome.tls->unverified_reason, "the certificate is not trusted: self signed certificate");
}

TEST_F(AttemptTlsTest, OpportunisticGoesInClearTextWhereThereIsNoTls) {
  MxWithoutTls();
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered);
  EXPECT_FALSE(outcome.tls);
}

TEST_F(AttemptTlsTest, NoneSpeaksNoTls) {
  network_->tls.level = TlsLevel::kNone;
  const auto mx = Mx();
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  EXPECT_EQ(mx->Count("STARTTLS"), 0);
}

// BATTERY T22.
TEST_F(AttemptTlsTest, RequireSendsNothingInClearText) {
  for (const TlsLevel level : {TlsLevel::kRequire, TlsLevel::kVerify}) {
    network_->tls.level = level;
    const auto mx = MxWithoutTls();
    const Outcome outcome = Deliver();
    EXPECT_EQ(outcome.kind, Kind::kTransient);
    EXPECT_EQ(outcome.enhanced.ToString(), "4.7.4");
    EXPECT_NE(outcome.text.find("by delivery.tls, but the host does not offer TLS"), std::string::npos) << outcome.text;
    EXPECT_EQ(mx->Count("MAIL"), 0);
  }
}

TEST_F(AttemptTlsTest, RequireTakesAnyCertificateAndVerifyDoesNot) {
  const auto mx = Mx(SelfSigned());
  network_->tls.level = TlsLevel::kVerify;
  const Outcome refused = Deliver();
  EXPECT_EQ(refused.kind, Kind::kTransient);
  EXPECT_EQ(refused.enhanced.ToString(), "4.7.5");
  EXPECT_EQ(refused.text,
            "the policy is verify by delivery.tls, but the certificate is not trusted: self signed certificate");
  EXPECT_EQ(mx->Count("MAIL"), 0);
  network_->tls.level = TlsLevel::kRequire;
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
}

TEST_F(AttemptTlsTest, NextHostMayHaveWhatThePolicyAsksFor) {
  network_->tls.level = TlsLevel::kRequire;
  resolver_.SetMx("d.test", {{5, "weak.test"}, {10, "mx.test"}});
  resolver_.SetAddresses("weak.test", {"11.0.0.2"});
  const auto weak = dialer_->Listen("11.0.0.2:25");
  Mx();
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  EXPECT_EQ(weak->Count("MAIL"), 0);
}

TEST_F(AttemptTlsTest, RouteHasAPolicyOfItsOwn) {
  const auto mx = MxWithoutTls();
  network_->routes = *RouteTable::Create({{.domain = "d.test", .to = "[mx.test]", .tls = TlsLevel::kRequire}}, 25);
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.4");
  EXPECT_NE(outcome.text.find("require by delivery.routes[0] (d.test)"), std::string::npos) << outcome.text;
  EXPECT_EQ(Deliver("other.test").kind, Kind::kDelivered);
}

TEST_F(AttemptTlsTest, ImplicitTlsBeginsWithTheHandshake) {
  const auto mx = dialer_->Listen("11.0.0.1:465");
  mx->SpeakTls(tls::Server(tls::GoodIdentity()), /*implicit=*/true);
  network_->routes = *RouteTable::Create({{"d.test", "[mx.test]:465"}}, 25);
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_EQ(mx->commands().at(0), "EHLO us.test");
  EXPECT_EQ(mx->Count("STARTTLS"), 0);
  EXPECT_EQ(outcome.tls->policy, "require by delivery.routes[0] (d.test)");
}

TEST_F(AttemptTlsTest, ImplicitTlsNeverFallsBack) {
  const auto mx = dialer_->Listen("11.0.0.1:465");
  network_->routes = *RouteTable::Create({{"d.test", "[mx.test]:465"}}, 25);
  EXPECT_EQ(Deliver("d.test", absl::Hours(10)).enhanced.ToString(), "4.7.5");
  EXPECT_EQ(mx->Count("EHLO"), 0);
}

// The policy of one domain is never the cover of another, though they share the host and its connections.
TEST_F(AttemptTlsTest, ConnectionsAreKeptApartByWhatTheyProved) {
  network_->routes = *RouteTable::Create({{.domain = "other.test", .tls = TlsLevel::kVerify}}, 25);
  const auto mx = Mx(SelfSigned());
  EXPECT_EQ(Deliver("d.test").kind, Kind::kDelivered);
  EXPECT_EQ(pool_.idle(), 1u);
  EXPECT_EQ(Deliver("other.test").enhanced.ToString(), "4.7.5");
  EXPECT_EQ(mx->Count("MAIL"), 1);
  EXPECT_EQ(Deliver("d.test").kind, Kind::kDelivered);
  EXPECT_EQ(mx->connections(), 2);
}

// ---- Handshakes that fail. ----

class BrokenHandshake : public AttemptTlsTest {
 protected:
  std::shared_ptr<FakePeer> BrokenMx() {
    auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS"});
    mx->On("STARTTLS", {"220 go ahead|close"});
    return mx;
  }
};

TEST_F(BrokenHandshake, HoldsTheMailAtFirst) {
  const auto mx = BrokenMx();
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.5");
  EXPECT_NE(outcome.text.find("the TLS handshake failed"), std::string::npos) << outcome.text;
  EXPECT_EQ(mx->Count("MAIL"), 0);
}

TEST_F(BrokenHandshake, GoesInClearTextWhenTheMailHasWaited) {
  const auto mx = BrokenMx();
  const Outcome outcome = Deliver("d.test", absl::Minutes(4));
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_FALSE(outcome.tls);
  EXPECT_EQ(mx->Count("STARTTLS"), 1);
}

TEST_F(BrokenHandshake, IsRememberedForTheMailThatFollows) {
  const auto mx = BrokenMx();
  EXPECT_EQ(Deliver().kind, Kind::kTransient);
  clock_.Advance(absl::Minutes(4));
  EXPECT_EQ(Deliver("other.test").kind, Kind::kDelivered);
  EXPECT_EQ(mx->Count("STARTTLS"), 1);
  clock_.Advance(absl::Minutes(61));
  EXPECT_EQ(Deliver().kind, Kind::kTransient);
  EXPECT_EQ(mx->Count("STARTTLS"), 2);
}

TEST_F(BrokenHandshake, NeverGoesInClearTextWhereTlsIsRequired) {
  network_->tls.level = TlsLevel::kRequire;
  const auto mx = BrokenMx();
  EXPECT_EQ(Deliver("d.test", absl::Hours(10)).enhanced.ToString(), "4.7.5");
  EXPECT_EQ(Deliver("d.test", absl::Hours(10)).kind, Kind::kTransient);
  EXPECT_EQ(mx->Count("MAIL"), 0);
}

// An answer that was slipped in behind the 220 is no reason to go on in clear text: an attacker stands in between.
TEST_F(BrokenHandshake, ReplyBehindTheGoAheadEndsTheSession) {
  const auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS"});
  mx->SpeakTls(tls::Server(tls::GoodIdentity()));
  mx->On("STARTTLS", {"220 go ahead\r\n250-mx\r\n250 PIPELINING"});
  const Outcome outcome = Deliver("d.test", absl::Hours(10));
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(mx->Count("MAIL"), 0);
}

}  // namespace
}  // namespace hikyaku::delivery
