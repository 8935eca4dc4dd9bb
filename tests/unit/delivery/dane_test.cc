// Which TLS a host's TLSA records ask for: the decision table row by row, and what is looked up to come to it.
#include "lib/delivery/dane.h"

#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/dns/fake_resolver.h"
#include "tests/unit/net/run.h"

namespace hikyaku::delivery {
namespace {

const std::string kDigest(32, 'x');
const dns::TlsaRecord kUsable{3, 1, 1, kDigest};
const dns::TlsaRecord kPkix{1, 1, 1, kDigest};
const dns::TlsaRecord kMalformed{3, 1, 1, "short"};

constexpr bool kProved = true;

DaneFacts Facts(bool name_proved, bool address_proved, absl::Status tlsa = absl::OkStatus(), bool tlsa_proved = false,
                std::vector<dns::TlsaRecord> records = {}) {
  DaneFacts facts;
  facts.name_proved = name_proved;
  facts.address_proved = address_proved;
  facts.tlsa = std::move(tlsa);
  facts.tlsa_proved = tlsa_proved;
  facts.records = std::move(records);
  return facts;
}

DaneFacts Literal() {
  DaneFacts facts = Facts(true, true, absl::OkStatus(), true, {kUsable});
  facts.literal = true;
  return facts;
}

// ---- The table of dane.h. ----

struct TableRow {
  const char* name;
  DaneFacts facts;
  bool asked;
  DaneResult result;
  const char* why;
};

class DaneTable : public testing::TestWithParam<TableRow> {};

TEST_P(DaneTable, Decides) {
  const TableRow& row = GetParam();
  EXPECT_EQ(AsksForTlsa(row.facts), row.asked);
  const DaneDecision decision = DecideDane(row.facts, "mx.test");
  EXPECT_EQ(decision.result, row.result);
  EXPECT_EQ(decision.why, row.why);
  EXPECT_EQ(decision.records.empty(), row.result != DaneResult::kOk);
}

const absl::Status kOk = absl::OkStatus();

INSTANTIATE_TEST_SUITE_P(
    Rfc7672Section22, DaneTable,
    testing::Values(TableRow{"MxNotProved", Facts(false, true, kOk, kProved, {kUsable}), false,
                             DaneResult::kInsecureChain, "DNSSEC does not prove the MX records"},
                    TableRow{"AddressNotProved", Facts(true, false, kOk, kProved, {kUsable}), false,
                             DaneResult::kInsecureChain, "DNSSEC does not prove the addresses of mx.test"},
                    TableRow{"Literal", Literal(), false, DaneResult::kNotApplicable, "an address has no TLSA records"},
                    TableRow{"Usable", Facts(true, true, kOk, kProved, {kUsable}), true, DaneResult::kOk, ""},
                    TableRow{"UsableAmongOthers", Facts(true, true, kOk, kProved, {kPkix, kMalformed, kUsable}), true,
                             DaneResult::kOk, ""},
                    TableRow{"Unusable", Facts(true, true, kOk, kProved, {kPkix}), true, DaneResult::kUnusable,
                             "none of the TLSA records of mx.test is of use"},
                    TableRow{"Malformed", Facts(true, true, kOk, kProved, {kMalformed}), true, DaneResult::kUnusable,
                             "none of the TLSA records of mx.test is of use"},
                    TableRow{"None", Facts(true, true, kOk, kProved), true, DaneResult::kNotApplicable,
                             "there are no TLSA records of mx.test"},
                    TableRow{"NoSuchName", Facts(true, true, absl::NotFoundError("")), true, DaneResult::kNotApplicable,
                             "there are no TLSA records of mx.test"},
                    TableRow{"RecordsNotProved", Facts(true, true, kOk, false, {kUsable}), true,
                             DaneResult::kInsecureChain, "DNSSEC does not prove the TLSA records of mx.test"},
                    TableRow{"ServfailOrBogus", Facts(true, true, absl::UnavailableError("SERVFAIL")), true,
                             DaneResult::kTempFail, "the TLSA records of mx.test cannot be looked up: SERVFAIL"},
                    TableRow{"Timeout", Facts(true, true, absl::DeadlineExceededError("timeout")), true,
                             DaneResult::kTempFail, "the TLSA records of mx.test cannot be looked up: timeout"}),
    [](const auto& info) { return std::string(info.param.name); });

// ---- Look-ups. ----

class DaneLookUp : public testing::Test {
 protected:
  DaneLookUp() {
    host_.name = "mx.test";
    host_.name_proved = host_.addresses_proved = true;
  }

  void Publish(const std::string& base, bool proved = true) {
    dns_.SetTlsa("_25._tcp." + base, {kUsable});
    dns_.SetSecure("_25._tcp." + base, proved);
  }

  // The host is an alias of real.test.
  void MakeAlias(bool target_proved, bool alias_proved) {
    host_.alias_of = "real.test";
    host_.addresses_proved = target_proved;
    dns_.SetAlias("mx.test", "real.test");
    dns_.SetSecure("mx.test", alias_proved);
  }

  DaneDecision Look() { return *net::RunTask(context_, LookUpDane(dns_, host_, absl::Seconds(5))); }

  boost::asio::io_context context_;
  dns::FakeResolver dns_;
  DaneHost host_;
};

TEST_F(DaneLookUp, AsksForThePortAndHost) {
  Publish("mx.test");
  const DaneDecision decision = Look();
  EXPECT_EQ(decision.result, DaneResult::kOk);
  EXPECT_EQ(decision.base, "mx.test");
  EXPECT_EQ(decision.records, (std::vector<tls::TlsaRecord>{{3, 1, 1, kDigest}}));
  host_.port = 465;
  EXPECT_EQ(Look().result, DaneResult::kNotApplicable);
}

TEST_F(DaneLookUp, AsksNothingWhereTheWayIsNotProved) {
  Publish("mx.test");
  host_.addresses_proved = false;
  EXPECT_EQ(Look().result, DaneResult::kInsecureChain);
  host_.addresses_proved = true;
  host_.name_proved = false;
  EXPECT_EQ(Look().result, DaneResult::kInsecureChain);
  host_.alias_of = "real.test";
  host_.addresses_proved = false;
  EXPECT_EQ(Look().result, DaneResult::kInsecureChain);
  EXPECT_EQ(dns_.lookups(), 0);
}

TEST_F(DaneLookUp, RealNameComesBeforeItsAlias) {
  MakeAlias(true, true);
  Publish("mx.test");
  EXPECT_EQ(Look().base, "mx.test");
  Publish("real.test");
  EXPECT_EQ(Look().base, "real.test");
}

TEST_F(DaneLookUp, RealNameWhoseRecordsAreNotProvedGivesWayToItsAlias) {
  MakeAlias(true, true);
  Publish("real.test", false);
  Publish("mx.test");
  EXPECT_EQ(Look().base, "mx.test");
}

// A failure may hide records: the other name is not an answer to it.
TEST_F(DaneLookUp, FailureAtTheRealNameIsNotMadeUpForByItsAlias) {
  MakeAlias(true, true);
  Publish("mx.test");
  dns_.Fail("_25._tcp.real.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Look().result, DaneResult::kTempFail);
}

TEST_F(DaneLookUp, ProvedAliasOfAnUnprovedNameIsAskedAtItsOwn) {
  MakeAlias(false, true);
  Publish("mx.test");
  Publish("real.test");
  const DaneDecision decision = Look();
  EXPECT_EQ(decision.result, DaneResult::kOk);
  EXPECT_EQ(decision.base, "mx.test");
}

TEST_F(DaneLookUp, UnprovedAliasIsNotAsked) {
  MakeAlias(false, false);
  Publish("mx.test");
  EXPECT_EQ(Look().result, DaneResult::kInsecureChain);
}

TEST_F(DaneLookUp, AliasThatCannotBeLookedUpIsAFailure) {
  MakeAlias(false, true);
  dns_.Fail("mx.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(Look().result, DaneResult::kTempFail);
}

TEST_F(DaneLookUp, StopIsPassedOn) {
  dns_.Fail("_25._tcp.mx.test", absl::CancelledError("stop"));
  EXPECT_TRUE(absl::IsCancelled(net::RunTask(context_, LookUpDane(dns_, host_, absl::Seconds(5))).status()));
}

}  // namespace
}  // namespace hikyaku::delivery
