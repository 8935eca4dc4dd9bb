// DANE in an attempt: what the host sees, and what the outcome says of it (BATTERY T27).
#include <cstdlib>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/unit/delivery/attempt_tls_fixture.h"
#include "tests/unit/tls/tlsa_of.h"

namespace hikyaku::delivery {
namespace {

// DNSSEC proves all of d.test and mx.test.
class AttemptDane : public AttemptTlsTest {
 protected:
  AttemptDane() {
    network_->tls.level = TlsLevel::kDane;
    for (const char* name : {"d.test", "other.test", "mx.test"}) resolver_.SetSecure(name);
  }

  void Publish(std::vector<tls::TlsaRecord> records, const std::string& base = "mx.test", int port = 25) {
    const std::string name = absl::StrCat("_", port, "._tcp.", base);
    std::vector<dns::TlsaRecord> published;
    for (auto& r : records) published.push_back({r.usage, r.selector, r.matching, r.data});
    resolver_.SetTlsa(name, std::move(published));
    resolver_.SetSecure(name);
  }

  // The host gets no mail, and `why` is in the reason.
  void ExpectHeld(FakePeer& mx, const std::string& why, const std::string& code = "4.7.5") {
    const Outcome outcome = Deliver("d.test", absl::Hours(10));
    EXPECT_EQ(outcome.kind, Kind::kTransient);
    EXPECT_EQ(outcome.enhanced.ToString(), code);
    EXPECT_NE(outcome.text.find(why), std::string::npos) << outcome.text;
    EXPECT_EQ(mx.Count("MAIL"), 0);
  }
};

TEST_F(AttemptDane, HostThatFitsIsProved) {
  const auto mx = Mx(SelfSigned());
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())});
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  ASSERT_TRUE(outcome.tls);
  EXPECT_TRUE(outcome.tls->verified);
  EXPECT_EQ(outcome.tls->policy, "dane by TLSA of mx.test");
}

// A certificate from an authority that all believe is no way around the records.
TEST_F(AttemptDane, HostThatDoesNotFitGetsNothing) {
  const auto mx = Mx();
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())});
  ExpectHeld(*mx,
             "the policy is dane by TLSA of mx.test, but the certificate fits none of the TLSA records of mx.test");
}

TEST_F(AttemptDane, AuthorityInTheRecordsIsCheckedByName) {
  const tls::Identity chain{tls::GoodIdentity().certificate + tls::Authority().certificate, tls::GoodIdentity().key};
  Mx(chain);
  Publish({tls::TlsaOf(2, 0, 1, tls::Authority())});
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  // The next hop's name is as good as the host's (RFC 7672 §3.2.2); another domain's is not.
  const tls::Identity of_domain = tls::MakeIdentity("d", {"d.test"}, &tls::Authority());
  const auto mx = Mx({of_domain.certificate + tls::Authority().certificate, of_domain.key});
  Publish({tls::TlsaOf(2, 1, 2, tls::Authority())});
  EXPECT_EQ(Deliver("d.test").kind, Kind::kDelivered);
  EXPECT_EQ(Deliver("other.test").kind, Kind::kTransient);
  EXPECT_EQ(mx->Count("RCPT TO:<b@other.test>"), 0);
}

// RFC 8460 §4.3.2.1.
TEST_F(AttemptDane, ReportsTellWhatTheRecordsCameTo) {
  network_->tls_reports = true;
  resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=mailto:tls@rua.test"});
  Mx(SelfSigned());
  const auto expect = [this](const char* type, const char* domain, const char* result) {
    Deliver();
    ASSERT_EQ(sessions_.size(), 1u) << result;
    EXPECT_EQ(sessions_[0].policy_type(), type) << result;
    EXPECT_EQ(sessions_[0].policy_domain(), domain) << result;
    EXPECT_EQ(sessions_[0].result_type(), result);
  };
  expect("no-policy-found", "d.test", "");
  Publish({tls::TlsaOf(3, 1, 1, tls::GoodIdentity())});
  expect("tlsa", "mx.test", "certificate-not-trusted");
  EXPECT_EQ(sessions_[0].policy_strings_size(), 1);
  Publish({{1, 1, 1, std::string(32, 'x')}});
  expect("tlsa", "mx.test", "tlsa-invalid");
  network_->tls.level = TlsLevel::kDaneOnly;
  expect("tlsa", "mx.test", "dane-required");
  resolver_.Fail("_25._tcp.mx.test", absl::UnavailableError("SERVFAIL"));
  expect("tlsa", "mx.test", "dnssec-invalid");
}

TEST_F(AttemptDane, StrippedTlsIsNoWayAround) {
  const auto mx = MxWithoutTls();
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())});
  ExpectHeld(*mx, "dane by TLSA of mx.test, but the host does not offer TLS", "4.7.4");
}

TEST_F(AttemptDane, BrokenHandshakeIsNoWayAround) {
  const auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS"});
  mx->On("STARTTLS", {"220 go ahead|close"});
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())});
  ExpectHeld(*mx, "the TLS handshake failed");
  ExpectHeld(*mx, "the TLS handshake failed");
}

TEST_F(AttemptDane, UnusableRecordsAskForTlsWithWhoeverItIs) {
  Publish({{1, 1, 1, std::string(32, 'x')}});
  Mx(SelfSigned());
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_FALSE(outcome.tls->verified);
  EXPECT_EQ(outcome.tls->policy, "require by delivery.tls (dane: none of the TLSA records of mx.test is of use)");
}

TEST_F(AttemptDane, UnusableRecordsForbidClearText) {
  Publish({{1, 1, 1, std::string(32, 'x')}});
  const auto mx = MxWithoutTls();
  ExpectHeld(*mx, "the host does not offer TLS", "4.7.4");
}

TEST_F(AttemptDane, NoRecordsAllowClearText) {
  MxWithoutTls();
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
}

TEST_F(AttemptDane, NoRecordsAreNoDane) {
  Mx(SelfSigned());
  const Outcome outcome = Deliver();
  ASSERT_TRUE(outcome.tls) << outcome.ToString();
  EXPECT_EQ(outcome.tls->policy, "opportunistic by delivery.tls (dane: there are no TLSA records of mx.test)");
}

TEST_F(AttemptDane, RecordsOfAnUnprovedHostAreNotAskedFor) {
  Publish({tls::TlsaOf(3, 1, 1, tls::Authority())});
  Mx(SelfSigned());
  resolver_.SetSecure("mx.test", false);
  EXPECT_EQ(Deliver().tls->policy,
            "opportunistic by delivery.tls (dane: DNSSEC does not prove the addresses of mx.test)");
  resolver_.SetSecure("mx.test");
  resolver_.SetSecure("d.test", false);
  EXPECT_EQ(Deliver().tls->policy, "opportunistic by delivery.tls (dane: DNSSEC does not prove the MX records)");
}

TEST_F(AttemptDane, HostWhoseRecordsCannotBeLookedUpIsPassedOver) {
  const auto mx = Mx();
  resolver_.Fail("_25._tcp.mx.test", absl::UnavailableError("DNS: SERVFAIL"));
  ExpectHeld(*mx,
             "the policy is dane by delivery.tls, but the TLSA records of mx.test cannot be looked up: DNS: SERVFAIL");
  EXPECT_EQ(mx->connections(), 0);
  resolver_.SetMx("d.test", {{10, "mx.test"}, {20, "mx2.test"}});
  resolver_.SetAddresses("mx2.test", {"11.0.0.2"});
  const auto second = dialer_->Listen("11.0.0.2:25");
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  EXPECT_EQ(second->Count("MAIL"), 1);
}

// ---- dane_only. ----

TEST_F(AttemptDane, OnlyHoldsWhatCannotBeProved) {
  network_->tls.level = TlsLevel::kDaneOnly;
  const auto mx = Mx();
  ExpectHeld(*mx, "the policy is dane_only by delivery.tls, but there are no TLSA records of mx.test");
  Publish({{1, 1, 1, std::string(32, 'x')}});
  ExpectHeld(*mx, "none of the TLSA records of mx.test is of use");
  resolver_.SetSecure("d.test", false);
  ExpectHeld(*mx, "DNSSEC does not prove the MX records");
  EXPECT_EQ(mx->connections(), 0);
  resolver_.SetSecure("d.test");
  Publish({tls::TlsaOf(3, 0, 2, tls::GoodIdentity())});
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
}

// ---- Routes. ----

TEST_F(AttemptDane, NextHopOfARouteHasDaneByItsOwnWordAlone) {
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())});
  const auto mx = Mx();
  network_->routes = *RouteTable::Create({{.domain = "d.test", .to = "[mx.test]"}}, 25);
  EXPECT_EQ(Deliver().tls->policy, "opportunistic by delivery.tls");
  const auto again = Mx();
  network_->routes = *RouteTable::Create({{.domain = "d.test", .to = "[mx.test]", .tls = TlsLevel::kDane}}, 25);
  ExpectHeld(*again, "dane by TLSA of mx.test");
  Publish({tls::TlsaOf(3, 1, 1, tls::GoodIdentity())});
  EXPECT_EQ(Deliver().tls->policy, "dane by TLSA of mx.test");
}

TEST_F(AttemptDane, AddressHasNone) {
  Mx(SelfSigned());
  network_->routes = *RouteTable::Create({{.domain = "d.test", .to = "[11.0.0.1]", .tls = TlsLevel::kDane}}, 25);
  EXPECT_EQ(Deliver().tls->policy,
            "opportunistic by delivery.routes[0] (d.test) (dane: an address has no TLSA records)");
}

TEST_F(AttemptDane, ImplicitTlsHasRecordsOfItsPort) {
  const auto mx = dialer_->Listen("11.0.0.1:465");
  mx->SpeakTls(tls::Server(SelfSigned()), /*implicit=*/true);
  network_->routes = *RouteTable::Create({{.domain = "d.test", .to = "[mx.test]:465", .tls = TlsLevel::kDane}}, 25);
  EXPECT_EQ(Deliver().tls->policy,
            "require by delivery.routes[0] (d.test) (dane: there are no TLSA records of mx.test)");
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())}, "mx.test", 465);
  EXPECT_EQ(Deliver().tls->policy, "dane by TLSA of mx.test");
}

TEST_F(AttemptDane, NoPasswordForAHostWhoseRecordsAreOfNoUse) {
  const std::string file = absl::StrCat(std::getenv("TEST_TMPDIR"), "/password");
  std::ofstream(file) << "secret\n";
  const auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS", "AUTH PLAIN"});
  mx->On("AUTH", {"235 2.7.0 ok"});
  mx->SpeakTls(tls::Server(tls::GoodIdentity()));
  RouteRow row{"d.test", "[mx.test]"};
  row.tls = TlsLevel::kDane;
  for (const bool allow_clear : {false, true}) {
    row.login = LoginOptions{"me", file, {}, allow_clear};
    network_->routes = *RouteTable::Create({row}, 25);
    Publish({{0, 0, 1, std::string(32, 'x')}});
    ExpectHeld(*mx, "the host has TLSA records, but none that it could be proved by", "4.7.0");
    EXPECT_EQ(mx->Count("AUTH"), 0);
  }
  Publish({tls::TlsaOf(3, 1, 1, tls::GoodIdentity())});
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  EXPECT_EQ(mx->Count("AUTH"), 1);
}

// ---- Connections. ----

// What one domain's route does not ask for never serves the domain that has DANE, and records that changed are asked
// again.
TEST_F(AttemptDane, ConnectionsAreKeptApartByWhatTheyProved) {
  network_->routes = *RouteTable::Create({{.domain = "other.test", .tls = TlsLevel::kOpportunistic}}, 25);
  const auto mx = Mx();
  Publish({tls::TlsaOf(3, 1, 1, tls::GoodIdentity())});
  EXPECT_EQ(Deliver("other.test").kind, Kind::kDelivered);
  EXPECT_EQ(Deliver("d.test").kind, Kind::kDelivered);
  EXPECT_EQ(Deliver("d.test").kind, Kind::kDelivered);
  EXPECT_EQ(mx->connections(), 2);
  Publish({tls::TlsaOf(3, 1, 1, SelfSigned())});
  EXPECT_EQ(Deliver("d.test").kind, Kind::kTransient);
  EXPECT_EQ(mx->connections(), 3);
  EXPECT_EQ(mx->Count("MAIL"), 3);
}

}  // namespace
}  // namespace hikyaku::delivery
