// What the sender asks of TLS (RFC 8689), and what reports on TLS are told of an attempt (RFC 8460).
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/delivery/attempt.h"
#include "lib/delivery/tls_session_log.h"
#include "lib/delivery/tls_wish.h"
#include "tests/unit/delivery/attempt_tls_fixture.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/tls/identities.h"
#include "tests/unit/tls/tlsa_of.h"

namespace hikyaku::delivery {
namespace {

using storage::v1::TlsSession;

// mx.test is a domain with no MX but itself; d.test has it as its MX.
class SenderTls : public AttemptTlsTest {
 protected:
  SenderTls() { resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=mailto:tls@rua.test"}); }

  std::shared_ptr<FakePeer> Mx(Strings extensions, const tls::Identity* identity = &tls::GoodIdentity(),
                               const std::string& endpoint = "11.0.0.1:25") {
    if (identity != nullptr) extensions.push_back("STARTTLS");
    auto mx = dialer_->Listen(endpoint, extensions);
    if (identity != nullptr) mx->SpeakTls(tls::Server(*identity));
    return mx;
  }

  queue::Lease Required(const std::string& domain) {
    queue::Lease lease = MakeLease(domain, {"b@" + domain});
    lease.delivery.mutable_envelope()->set_require_tls(true);
    return lease;
  }
};

using RequireTls = SenderTls;

TEST_F(RequireTls, IsSaidToAHostThatProvesItselfAndPromisesIt) {
  const auto mx = Mx({"REQUIRETLS"});
  const Outcome outcome = Deliver(Required("mx.test"));
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_EQ(mx->Count("MAIL FROM:<a@sender.test> REQUIRETLS"), 1);
  EXPECT_EQ(outcome.tls->policy, "verify by require_tls of the mail");
  EXPECT_EQ(Deliver(MakeLease("mx.test", {"b@mx.test"})).kind, Kind::kDelivered);
  EXPECT_EQ(mx->Count("MAIL FROM:<a@sender.test> REQUIRETLS"), 1) << "said for a mail that does not ask";
}

TEST_F(RequireTls, EndsWith5730WhereNoHostPromisesIt) {
  resolver_.SetAddresses("mx.test", {"11.0.0.1", "11.0.0.2"});
  const auto one = Mx({}), two = Mx({}, &tls::GoodIdentity(), "11.0.0.2:25");
  const Outcome outcome = Deliver(Required("mx.test"));
  EXPECT_EQ(outcome.kind, Kind::kPermanent);
  EXPECT_EQ(outcome.enhanced.ToString(), "5.7.30");
  EXPECT_EQ(one->Count("MAIL") + two->Count("MAIL"), 0);
  EXPECT_EQ(one->Count("STARTTLS") + two->Count("STARTTLS"), 2) << "not every address was asked";
}

// Another host may promise it tomorrow.
TEST_F(RequireTls, WaitsWhereAHostCouldNotBeAsked) {
  resolver_.SetMx("mx.test", {{5, "mx.test"}, {10, "gone.test"}});
  resolver_.SetAddresses("gone.test", {"11.0.0.9"});
  const auto mx = Mx({});
  const Outcome outcome = Deliver(Required("mx.test"));
  EXPECT_EQ(outcome.kind, Kind::kTransient) << outcome.ToString();
  EXPECT_EQ(mx->Count("MAIL"), 0);
}

TEST_F(RequireTls, WaitsForACertificateThatProvesTheHost) {
  for (const tls::Identity* identity : {static_cast<const tls::Identity*>(nullptr), &SelfSigned()}) {
    const auto mx = Mx({"REQUIRETLS"}, identity);
    const Outcome outcome = Deliver(Required("mx.test"));
    EXPECT_EQ(outcome.kind, Kind::kTransient);
    EXPECT_EQ(outcome.enhanced.ToString(), identity == nullptr ? "4.7.4" : "4.7.5");
    EXPECT_TRUE(absl::StrContains(outcome.text, "verify by require_tls of the mail")) << outcome.text;
    EXPECT_EQ(mx->Count("MAIL"), 0);
  }
}

// §4.2.1, step 2: who can forge an MX record can also have a certificate for the name in it.
TEST_F(RequireTls, DoesNotTrustANameFromUnsignedDns) {
  const auto mx = Mx({"REQUIRETLS"});
  const Outcome outcome = Deliver(Required("d.test"));
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.10");
  EXPECT_EQ(mx->connections(), 0);
  network_->routes = *RouteTable::Create({{"d.test", "[mx.test]"}}, 25);  // The operator's word is no DNS.
  EXPECT_EQ(Deliver(Required("d.test")).kind, Kind::kDelivered);
  EXPECT_EQ(mx->Count("MAIL FROM:<a@sender.test> REQUIRETLS"), 1);
}

TEST_F(RequireTls, NamesAreCertainByMtaSts) {
  NextHop hop;
  hop.host = "d.test";
  PlannedHost host;
  host.name = "mx.test";
  HostPolicy policy;
  EXPECT_FALSE(HasCertainName(host, hop, policy));
  policy.listed = true;
  policy.demand.level = TlsLevel::kVerify;
  EXPECT_TRUE(HasCertainName(host, hop, policy));
  RequireProof(host, hop, &policy);
  EXPECT_FALSE(policy.trouble);
  EXPECT_EQ(policy.rule, "") << "a policy that asks for enough is left as it is";
}

TEST_F(RequireTls, NamesAreCertainByDnssec) {
  NextHop hop;
  hop.host = "d.test";
  PlannedHost host;
  host.name = "mx.test";
  host.name_proved = true;
  HostPolicy policy;
  EXPECT_TRUE(HasCertainName(host, hop, policy));
}

// §5: the report about such a mail is not lost for want of it.
TEST_F(RequireTls, OfAReportIsSaidWhereItCanBe) {
  queue::Lease report = Required("mx.test");
  report.delivery.mutable_envelope()->clear_sender();
  const auto good = Mx({"REQUIRETLS"});
  EXPECT_EQ(Deliver(report).kind, Kind::kDelivered);
  EXPECT_EQ(good->Count("MAIL FROM:<> REQUIRETLS"), 1);
  const auto unproven = Mx({"REQUIRETLS"}, &SelfSigned(), "11.0.0.2:25"), clear = Mx({}, nullptr, "11.0.0.3:25");
  for (const auto& [address, weak] : {std::pair("11.0.0.2", unproven), std::pair("11.0.0.3", clear)}) {
    resolver_.SetAddresses("mx.test", {address});
    EXPECT_EQ(Deliver(report).kind, Kind::kDelivered);
    EXPECT_EQ(weak->Count("MAIL FROM:<>"), 1);
    EXPECT_EQ(weak->Count("MAIL FROM:<> REQUIRETLS"), 0);
  }
}

TEST_F(RequireTls, IsNotAskedOfThisMachine) {
  NextHop hop;
  storage::v1::Envelope envelope;
  envelope.set_sender("a@x.test");
  envelope.set_require_tls(true);
  EXPECT_EQ(WishOf(envelope, hop), TlsWish::kRequired);
  hop.host = "unix:/run/lmtp";
  hop.kind = NextHop::Kind::kLmtp;
  EXPECT_EQ(WishOf(envelope, hop), TlsWish::kNone);
  hop.host = "";
  hop.kind = NextHop::Kind::kMaildir;
  EXPECT_EQ(WishOf(envelope, hop), TlsWish::kNone);
}

TEST_F(SenderTls, WaivedLeavesTheOperatorsWord) {
  for (const TlsLevel level : {TlsLevel::kOpportunistic, TlsLevel::kRequire}) {
    network_->tls.level = level;
    Mx({}, nullptr);
    queue::Lease lease = MakeLease("d.test", {"b@d.test"});
    lease.delivery.mutable_envelope()->set_tls_optional(true);
    EXPECT_EQ(Deliver(lease).kind, level == TlsLevel::kOpportunistic ? Kind::kDelivered : Kind::kTransient);
    EXPECT_TRUE(sessions_.empty());
  }
  NextHop hop;
  TlsSettings settings;
  settings.level = TlsLevel::kOpportunistic;
  EXPECT_EQ(WaivedPolicy(settings, hop).Text(), "opportunistic by TLS-Required: No of the mail");
  settings.level = TlsLevel::kVerify;
  EXPECT_EQ(WaivedPolicy(settings, hop).Text(), "verify by delivery.tls");
}

TEST_F(SenderTls, WaivedAsksForNoDaneButLeavesDaneOnly) {
  for (const char* name : {"d.test", "mx.test", "_25._tcp.mx.test"}) resolver_.SetSecure(name);
  resolver_.SetTlsa("_25._tcp.mx.test", {{3, 1, 1, std::string(32, 'x')}});
  queue::Lease lease = MakeLease("d.test", {"b@d.test"});
  lease.delivery.mutable_envelope()->set_tls_optional(true);
  network_->tls.level = TlsLevel::kDaneOnly;
  Mx({});
  EXPECT_EQ(Deliver(lease).enhanced.ToString(), "4.7.5");
  network_->tls.level = TlsLevel::kDane;
  EXPECT_EQ(Deliver(lease).tls->policy, "opportunistic by TLS-Required: No of the mail");
}

// ---- Reports on TLS. ----

class SessionLog : public SenderTls {
 protected:
  SessionLog() { network_->tls_reports = true; }

  TlsSession Only(const queue::Lease& lease = MakeLease("d.test", {"b@d.test"})) {
    Deliver(lease);
    EXPECT_EQ(sessions_.size(), 1u);
    return sessions_.empty() ? TlsSession() : sessions_[0];
  }
};

TEST_F(SessionLog, ASessionIsToldOnce) {
  Mx({});
  const TlsSession session = Only();
  EXPECT_EQ(session.report_to(0), "mailto:tls@rua.test");
  EXPECT_EQ(session.policy_type(), "no-policy-found");
  EXPECT_EQ(session.policy_domain(), "d.test");
  EXPECT_EQ(session.result_type(), "");
  EXPECT_EQ(session.receiving_ip(), "") << "successes are told in one row";
  Deliver(MakeLease("d.test", {"b@d.test"}));
  EXPECT_TRUE(sessions_.empty()) << "the connection was kept";
}

TEST_F(SessionLog, FailuresAreToldByTheirKind) {
  const tls::Identity expired = tls::MakeIdentity("mx", {"mx.test"}, &tls::Authority(), -absl::Hours(1));
  const tls::Identity other = tls::MakeIdentity("mx", {"other.test"}, &tls::Authority());
  const struct {
    const tls::Identity* identity;
    TlsLevel level;
    const char* result;
  } cases[] = {
      {nullptr, TlsLevel::kOpportunistic, "starttls-not-supported"},
      {nullptr, TlsLevel::kRequire, "starttls-not-supported"},
      {&expired, TlsLevel::kVerify, "certificate-expired"},
      {&other, TlsLevel::kVerify, "certificate-host-mismatch"},
      {&SelfSigned(), TlsLevel::kVerify, "certificate-not-trusted"},
      {&SelfSigned(), TlsLevel::kOpportunistic, ""},
  };
  int number = 1;
  for (const auto& c : cases) {
    const std::string ip = absl::StrCat("11.0.1.", number++);
    resolver_.SetAddresses("mx.test", {ip});
    network_->tls.level = c.level;
    const auto mx = Mx({}, c.identity, ip + ":25");
    mx->On("", {"220 mx.banner.test ESMTP"});
    const TlsSession session = Only();
    EXPECT_EQ(session.result_type(), c.result);
    if (session.result_type().empty()) continue;
    EXPECT_EQ(session.receiving_host(), "mx.test");
    EXPECT_EQ(session.receiving_ip(), ip);
    EXPECT_EQ(session.reason().empty(), c.identity == nullptr) << session.reason();
  }
}

TEST_F(SessionLog, DaneIsToldOfTheHostAndItsRecords) {
  network_->tls.level = TlsLevel::kDane;
  for (const char* name : {"d.test", "mx.test", "_25._tcp.mx.test"}) resolver_.SetSecure(name);
  const auto publish = [&](const tls::TlsaRecord& r) {
    resolver_.SetTlsa("_25._tcp.mx.test", {{r.usage, r.selector, r.matching, r.data}});
  };
  Mx({});
  publish(tls::TlsaOf(3, 1, 1, SelfSigned()));
  EXPECT_EQ(Only().result_type(), "certificate-not-trusted");
  const tls::TlsaRecord fits = tls::TlsaOf(3, 1, 1, tls::GoodIdentity());
  publish(fits);
  const TlsSession session = Only();
  EXPECT_EQ(session.policy_type(), "tlsa");
  EXPECT_EQ(session.policy_domain(), "mx.test");
  ASSERT_EQ(session.policy_strings_size(), 1);
  EXPECT_EQ(session.policy_strings(0), tls::TlsaText(fits));
  EXPECT_EQ(session.result_type(), "");
  resolver_.Fail("_25._tcp.mx.test", absl::UnavailableError("SERVFAIL"));
  const TlsSession failed = Only();
  EXPECT_EQ(failed.result_type(), "dnssec-invalid");
  EXPECT_EQ(failed.receiving_host(), "mx.test");
}

TEST_F(SessionLog, AHandshakeThatFailsIsToldOnceAndItsFallBackNot) {
  const auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS"});
  mx->On("STARTTLS", {"220 go ahead|close"});
  queue::Lease lease = MakeLease("d.test", {"b@d.test"});
  lease.delivery.set_attempts(1);
  lease.delivery.set_first_attempt_micros(absl::ToUnixMicros(clock_.Now() - absl::Hours(1)));
  EXPECT_EQ(Only(lease).result_type(), "validation-failure");
  EXPECT_EQ(mx->Count("MAIL"), 1);
}

TEST_F(SessionLog, TellsNothingWhereNobodyAsksOrPolicyIsTheOperators) {
  Mx({});
  resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=ftp:x"});
  Deliver(MakeLease("d.test", {"b@d.test"}));
  EXPECT_TRUE(sessions_.empty());
  Mx({}, &tls::GoodIdentity(), "11.0.0.5:25");
  resolver_.SetAddresses("mx.test", {"11.0.0.5"});
  resolver_.Fail("_smtp._tls.mx.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Deliver(MakeLease("mx.test", {"b@mx.test"})).kind, Kind::kDelivered);
  EXPECT_TRUE(sessions_.empty());
  resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=mailto:tls@rua.test"});
  network_->routes = *RouteTable::Create({{"d.test", "[mx.test]:26"}}, 25);
  dialer_->Listen("11.0.0.5:26");
  EXPECT_EQ(Deliver(MakeLease("d.test", {"b@d.test"})).kind, Kind::kDelivered);
  EXPECT_TRUE(sessions_.empty());
  network_->tls_reports = false;
  network_->routes = RouteTable(25);
  const int before = resolver_.lookups();
  Deliver(MakeLease("d.test", {"b@d.test"}));
  EXPECT_TRUE(sessions_.empty());
  EXPECT_LE(resolver_.lookups(), before + 2) << "asked for a record that nobody will use";
}

TEST_F(SessionLog, HostsThatArePassedOverAreToldOfByTheirPolicysFailure) {
  Budget budget;
  TlsSessionLog log(true, "d.test", resolver_, clock_, budget);
  HostPolicy policy;
  policy.trouble = JudgeUncertainName("mx.test");
  log.NotePassedOver("mx.test", policy);  // Nobody has said yet that it wants to know.
  EXPECT_TRUE(net::RunTask(context_, log.LookUp()).ok());
  log.NotePassedOver("mx.test", policy);  // And this is no policy of the domain's.
  policy.report = {"tlsa", "mx.test", {}, "dane-required"};
  log.NotePassedOver("mx.test", policy);
  const std::vector<TlsSession> sessions = log.Take();
  ASSERT_EQ(sessions.size(), 1u);
  EXPECT_EQ(sessions[0].policy_type(), "tlsa");
  EXPECT_EQ(sessions[0].policy_domain(), "mx.test");
  EXPECT_EQ(sessions[0].result_type(), "dane-required");
  EXPECT_EQ(sessions[0].receiving_host(), "mx.test");
}

TEST_F(SessionLog, AHostThatDoesNotSpeakIsNoMatterOfTls) {
  const auto mx = Mx({});
  mx->On("", {"554 go away"});
  Deliver(MakeLease("d.test", {"b@d.test"}));
  EXPECT_TRUE(sessions_.empty());
}

}  // namespace
}  // namespace hikyaku::delivery
