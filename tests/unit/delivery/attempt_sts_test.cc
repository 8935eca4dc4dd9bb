// MTA-STS in an attempt: which hosts a domain's policy lets its mail go to, and that it is the policy of no other mail.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/delivery/attempt.h"
#include "lib/delivery/explain.h"
#include "lib/mta_sts/policies.h"
#include "tests/unit/delivery/attempt_tls_fixture.h"
#include "tests/unit/delivery/fake_shard.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/net/run.h"
#include "tests/unit/tls/identities.h"
#include "tests/unit/tls/tlsa_of.h"

namespace hikyaku::delivery {
namespace {

// d.test and other.test have one MX, mx.test. What the shard keeps for d.test is its policy.
class AttemptStsTest : public AttemptTlsTest {
 protected:
  AttemptStsTest() {
    network_->tls.mta_sts = true;
    clock_.Advance(tls::kNow - clock_.Now());
  }

  ~AttemptStsTest() override { EndAll(); }

  AttemptEnv Env() override {
    AttemptEnv env = AttemptTlsTest::Env();
    env.sts = &policies_;
    env.shard = &shard_;
    return env;
  }

  void Publish(const std::string& mode, const std::string& mx = "mx.test") {
    storage::v1::StsPolicy record;
    record.set_domain("d.test");
    record.set_id("1");
    record.set_text(absl::StrCat("version: STSv1\nmode: ", mode, "\nmx: ", mx, "\nmax_age: 86400\n"));
    record.set_fetched_micros(absl::ToUnixMicros(clock_.Now()));
    record.set_expire_micros(absl::ToUnixMicros(clock_.Now() + absl::Hours(24)));
    shard_.PutStsPolicy(std::move(record), [](const auto&) {});
  }

  Outcome Deliver(const std::string& domain = "d.test") {
    queue::Lease lease = MakeLease(domain, {"b@" + domain});
    lease.delivery.mutable_envelope()->set_require_tls(require_tls_);
    return AttemptTlsTest::Deliver(lease);
  }

  // Its answer to the mail: the policy that it went under, "" in clear text, or why it waits.
  std::string What(const std::string& domain = "d.test") {
    const Outcome outcome = Deliver(domain);
    if (outcome.kind != Kind::kDelivered) return absl::StrCat(outcome.enhanced.ToString(), " ", outcome.text);
    return outcome.tls ? outcome.tls->policy : "";
  }

  bool require_tls_ = false;  // Of the mail.
  FakeShard shard_;
  mta_sts::Policies policies_{clock_, quits_};
};

// RFC 8689 §4.2.1: a policy makes the names of hosts certain only where it is enforced.
TEST_F(AttemptStsTest, TestingMakesNoNameCertain) {
  require_tls_ = true;
  const auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS", "REQUIRETLS"});
  mx->SpeakTls(tls::Server(tls::GoodIdentity()));
  Publish("testing");
  EXPECT_EQ(Deliver().enhanced.ToString(), "4.7.10");
  EXPECT_EQ(Deliver("other.test").enhanced.ToString(), "4.7.10");
}

TEST_F(AttemptStsTest, EnforceLetsRequireTlsThrough) {
  require_tls_ = true;
  const auto mx = dialer_->Listen("11.0.0.1:25", {"STARTTLS", "REQUIRETLS"});
  mx->SpeakTls(tls::Server(tls::GoodIdentity()));
  Publish("enforce");
  EXPECT_EQ(What(), "verify by MTA-STS of d.test");
  EXPECT_EQ(mx->Count("MAIL FROM:<a@sender.test> REQUIRETLS"), 1);
}

// RFC 8461 §5: what a policy finds is told, also where it blocks nothing.
TEST_F(AttemptStsTest, ReportsTellWhatThePolicyFound) {
  network_->tls_reports = true;
  resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=mailto:tls@rua.test"});
  Mx(SelfSigned());
  Publish("testing");
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  ASSERT_EQ(sessions_.size(), 1u);
  EXPECT_EQ(sessions_[0].policy_type(), "sts");
  EXPECT_EQ(sessions_[0].policy_domain(), "d.test");
  EXPECT_EQ(sessions_[0].result_type(), "certificate-not-trusted");
  EXPECT_EQ(sessions_[0].mx_patterns_size(), 1);
  EXPECT_EQ(sessions_[0].mx_patterns(0), "mx.test");
  ASSERT_GE(sessions_[0].policy_strings_size(), 3);
  EXPECT_EQ(sessions_[0].policy_strings(1), "mode: testing");
}

TEST_F(AttemptStsTest, ReportsTellOfHostsThatThePolicyDoesNotList) {
  network_->tls_reports = true;
  resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=mailto:tls@rua.test"});
  Publish("enforce", "else.test");
  EXPECT_EQ(Deliver().kind, Kind::kTransient);
  ASSERT_EQ(sessions_.size(), 1u);
  EXPECT_EQ(sessions_[0].result_type(), "validation-failure");
  EXPECT_EQ(sessions_[0].receiving_host(), "mx.test");
  EXPECT_EQ(sessions_[0].reason(), "the MTA-STS policy of d.test does not list its MX host mx.test");
}

TEST_F(AttemptStsTest, ReportsTellOfAPolicyThatCannotBeHad) {
  network_->tls_reports = true;
  resolver_.SetTxt("_smtp._tls.d.test", {"v=TLSRPTv1; rua=mailto:tls@rua.test"});
  resolver_.SetTxt("_mta-sts.d.test", {"v=STSv1; id=1;"});  // And no host mta-sts.d.test.
  Mx();
  EXPECT_EQ(Deliver().kind, Kind::kDelivered);
  ASSERT_EQ(sessions_.size(), 2u);
  EXPECT_EQ(sessions_[0].policy_type(), "no-policy-found");
  EXPECT_EQ(sessions_[0].result_type(), "");
  EXPECT_EQ(sessions_[1].policy_type(), "sts");
  EXPECT_EQ(sessions_[1].result_type(), "sts-policy-fetch-error");
}

TEST_F(AttemptStsTest, EnforceDeliversToAHostThatProvesItself) {
  Publish("enforce");
  const auto mx = Mx();
  const Outcome outcome = Deliver();
  EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_TRUE(outcome.tls->verified);
  EXPECT_EQ(outcome.tls->policy, "verify by MTA-STS of d.test");
}

// BATTERY T23.
TEST_F(AttemptStsTest, EnforceSendsNothingToAHostThatDoesNot) {
  Publish("enforce");
  for (const tls::Identity& bad : {SelfSigned(), tls::MakeIdentity("mx", {"mx.other.test"}, &tls::Authority()),
                                   tls::MakeIdentity("mx", {"mx.test"}, &tls::Authority(), -absl::Hours(1))}) {
    const auto mx = Mx(bad);
    const std::string what = What();
    EXPECT_EQ(what.find("4.7.5 the policy is verify by MTA-STS of d.test, but the certificate"), 0u) << what;
    EXPECT_EQ(mx->Count("MAIL"), 0);
  }
}

// ---- Beside DANE (RFC 8461 §2). ----

class StsBesideDane : public AttemptStsTest {
 protected:
  void PublishTlsa(const tls::TlsaRecord& record) {
    network_->tls.level = TlsLevel::kDane;
    resolver_.SetTlsa("_25._tcp.mx.test", {{record.usage, record.selector, record.matching, record.data}});
    for (const char* name : {"d.test", "mx.test", "_25._tcp.mx.test"}) resolver_.SetSecure(name);
  }
};

TEST_F(StsBesideDane, RecordsThatProveTheHostStandAlone) {
  Publish("enforce", "*.mx.test");
  PublishTlsa(tls::TlsaOf(3, 1, 1, SelfSigned()));
  Mx(SelfSigned());
  EXPECT_EQ(What(), "dane by TLSA of mx.test");
}

TEST_F(StsBesideDane, HostThatThePolicyBelievesIsNoWayAroundItsRecords) {
  Publish("enforce");
  PublishTlsa(tls::TlsaOf(3, 1, 1, SelfSigned()));
  Mx();
  EXPECT_EQ(What().find("4.7.5 the policy is dane by TLSA of mx.test"), 0u);
}

TEST_F(StsBesideDane, RecordsOfNoUseLeaveTheCheckToThePolicy) {
  Publish("enforce");
  PublishTlsa({1, 1, 1, std::string(32, 'x')});
  const auto mx = Mx(SelfSigned());
  EXPECT_EQ(What().find("4.7.5 the policy is verify by MTA-STS of d.test"), 0u);
  Mx();
  EXPECT_EQ(What(), "verify by MTA-STS of d.test");
}

TEST_F(StsBesideDane, WhereThereAreNoRecordsThePolicyHolds) {
  Publish("enforce");
  PublishTlsa({1, 1, 1, std::string(32, 'x')});
  resolver_.SetTlsa("_25._tcp.mx.test", {});
  Mx(SelfSigned());
  EXPECT_EQ(What().find("4.7.5 the policy is verify by MTA-STS of d.test"), 0u);
}

TEST_F(AttemptStsTest, EnforceSendsNothingInClearText) {
  Publish("enforce");
  const auto mx = dialer_->Listen("11.0.0.1:25");
  EXPECT_EQ(What(), "4.7.4 the policy is verify by MTA-STS of d.test, but the host does not offer TLS");
  EXPECT_EQ(mx->Count("MAIL"), 0);
}

TEST_F(AttemptStsTest, EnforceDoesNotEvenConnectToAHostThatIsNotListed) {
  Publish("enforce", "*.mx.test");
  Mx();
  EXPECT_EQ(What(), "4.7.5 the MTA-STS policy of d.test does not list its MX host mx.test");
  EXPECT_TRUE(dialer_->dialled().empty());
}

TEST_F(AttemptStsTest, TheNextHostMayBeListed) {
  resolver_.SetMx("d.test", {{5, "evil.test"}, {10, "mx.test"}});
  resolver_.SetAddresses("evil.test", {"11.0.0.2"});
  Publish("enforce");
  Mx(tls::GoodIdentity(), "11.0.0.2:25");
  Mx();
  EXPECT_EQ(What(), "verify by MTA-STS of d.test");
  EXPECT_EQ(dialer_->dialled(), Strings{"11.0.0.1:25"});
}

TEST_F(AttemptStsTest, TestingBlocksNothing) {
  Publish("testing", "elsewhere.test");
  Mx(SelfSigned());
  EXPECT_EQ(What(), "opportunistic by delivery.tls");
}

TEST_F(AttemptStsTest, NoneAsksForNothing) {
  Publish("none");
  Mx(SelfSigned());
  EXPECT_EQ(What(), "opportunistic by delivery.tls");
}

TEST_F(AttemptStsTest, ARouteIsTheOperatorsWord) {
  Publish("enforce", "elsewhere.test");
  Mx(SelfSigned());
  for (const char* to : {"[mx.test]", "other.test", "[11.0.0.1]"}) {
    network_->routes = *RouteTable::Create({{"d.test", to}}, 25);
    EXPECT_EQ(What(), "opportunistic by delivery.tls") << to;
  }
}

TEST_F(AttemptStsTest, ARouteWithoutAHostChangesNothing) {
  Publish("enforce");
  Mx(SelfSigned());
  network_->routes = *RouteTable::Create({{.domain = "d.test", .tls = TlsLevel::kRequire}}, 25);
  EXPECT_EQ(What().find("4.7.5 the policy is verify by MTA-STS of d.test"), 0u);
}

TEST_F(AttemptStsTest, WhatTheOperatorAsksForIsNotWeakened) {
  network_->tls.level = TlsLevel::kVerify;
  Publish("testing");
  Mx(SelfSigned());
  EXPECT_EQ(What().find("4.7.5 the policy is verify by delivery.tls, but"), 0u);
}

TEST_F(AttemptStsTest, NothingIsLookedUpWhereItIsOffOrTlsIs) {
  Publish("enforce", "elsewhere.test");
  dialer_->Listen("11.0.0.1:25");
  network_->tls.mta_sts = false;
  EXPECT_EQ(What(), "");
  network_->tls.mta_sts = true;
  network_->tls.level = TlsLevel::kNone;
  EXPECT_EQ(What(), "");
  EXPECT_EQ(resolver_.lookups(), 4) << "MX and address, twice";
}

// FACTS: a policy leaked to all domains that share the host, where connections were kept by host alone.
TEST_F(AttemptStsTest, DomainsAtOneHostHaveConnectionsOfTheirOwn) {
  Publish("enforce");
  const auto mx = Mx();
  EXPECT_EQ(What("other.test"), "opportunistic by delivery.tls");
  EXPECT_EQ(What(), "verify by MTA-STS of d.test");
  EXPECT_EQ(What("other.test"), "opportunistic by delivery.tls");
  EXPECT_EQ(mx->connections(), 2);
}

TEST_F(AttemptStsTest, ExplainTellsThePolicy) {
  resolver_.SetTxt("_mta-sts.d.test", {});
  Mx();
  RouteQuery query{"d.test"};
  const auto lines = net::RunTask(context_, Explain(query, "sender.test", options_, *network_, resolver_, clock_));
  std::string told;
  for (const Explained& line : lines) {
    if (line.what == "mta-sts") told = absl::StrCat(line.text, " [", line.why, "]");
  }
  EXPECT_EQ(told, "none [TXT of _mta-sts.d.test]");
}

}  // namespace
}  // namespace hikyaku::delivery
