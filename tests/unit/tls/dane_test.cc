// What proves a peer by TLSA records, against chains that were really issued.
#include "lib/tls/dane.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lib/tls/peer_policy.h"
#include "tests/unit/tls/identities.h"
#include "tests/unit/tls/tlsa_of.h"

namespace hikyaku::tls {
namespace {

const Identity& Middle() {
  static const auto* const middle =
      new Identity(MakeIdentity("Middle CA", {}, &Authority(), absl::Hours(24), /*authority=*/true));
  return *middle;
}

Identity ByMiddle(std::vector<std::string> names, absl::Duration left = absl::Hours(24)) {
  return MakeIdentity("mx", std::move(names), &Middle(), left);
}

PeerProof Judge(const std::vector<std::string>& chain, std::vector<TlsaRecord> records,
                std::vector<std::string> other_names = {}) {
  PeerPolicy policy;
  policy.host = "mx.test";
  policy.enforce = true;
  policy.dane = DaneDemand{"mx.test", std::move(other_names), std::move(records)};
  const std::vector<absl::string_view> sent(chain.begin(), chain.end());
  return JudgePeer(sent, policy, TrustRoots(), kNow);
}

struct Form {
  int selector, matching;
};

class EveryForm : public testing::TestWithParam<Form> {
 protected:
  TlsaRecord Of(int usage, const Identity& identity) const {
    return TlsaOf(usage, GetParam().selector, GetParam().matching, identity);
  }
};

// RFC 7671 §5.1: neither the name nor the date matters.
TEST_P(EveryForm, EndEntityIsProvedByItself) {
  const Identity anyone = MakeIdentity("x", {"elsewhere.test"}, nullptr, -absl::Hours(1));
  EXPECT_TRUE(Judge({DerOf(anyone)}, {Of(3, anyone)}).verified);
  const PeerProof other = Judge({DerOf(anyone)}, {Of(3, GoodIdentity())});
  EXPECT_FALSE(other.verified);
  EXPECT_EQ(other.flaw, Flaw::kNotTrusted);
  EXPECT_EQ(other.why, "the certificate fits none of the TLSA records of mx.test");
}

TEST_P(EveryForm, OneThatFitsAmongOthersIsEnough) {
  EXPECT_TRUE(Judge({DerOf(GoodIdentity())}, {Of(3, OtherAuthority()), Of(2, OtherAuthority()), Of(3, GoodIdentity())})
                  .verified);
}

TEST_P(EveryForm, AuthorityProvesWhatItIssued) {
  const Identity leaf = ByMiddle({"mx.test"});
  const std::vector<std::string> chain = {DerOf(leaf), DerOf(Middle()), DerOf(Authority())};
  EXPECT_TRUE(Judge(chain, {Of(2, Authority())}).verified) << Judge(chain, {Of(2, Authority())}).why;
  EXPECT_TRUE(Judge(chain, {Of(2, Middle())}).verified) << Judge(chain, {Of(2, Middle())}).why;
  EXPECT_FALSE(Judge(chain, {Of(2, OtherAuthority())}).verified);
}

// The authority is in the chain, but did not issue the certificate.
TEST_P(EveryForm, AuthorityThatIsOnlySentProvesNothing) {
  const Identity stranger = MakeIdentity("mx", {"mx.test"}, &OtherAuthority());
  const PeerProof proof = Judge({DerOf(stranger), DerOf(Authority())}, {Of(2, Authority())});
  EXPECT_FALSE(proof.verified);
  EXPECT_EQ(proof.flaw, Flaw::kNotTrusted);
}

TEST_P(EveryForm, AuthorityVouchesForNameAndDate) {
  const std::string middle = DerOf(Middle());
  const PeerProof wrong = Judge({DerOf(ByMiddle({"other.test"})), middle}, {Of(2, Middle())});
  EXPECT_EQ(wrong.flaw, Flaw::kHostMismatch);
  EXPECT_EQ(wrong.why, "the certificate is not for mx.test");
  const PeerProof old = Judge({DerOf(ByMiddle({"mx.test"}, -absl::Hours(1))), middle}, {Of(2, Middle())});
  EXPECT_EQ(old.flaw, Flaw::kExpired);
}

// RFC 7672 §3.2.2.
TEST_P(EveryForm, NextHopsNameIsAsGood) {
  const std::vector<std::string> chain = {DerOf(ByMiddle({"d.test"})), DerOf(Middle())};
  EXPECT_TRUE(Judge(chain, {Of(2, Middle())}, {"e.test", "d.test"}).verified);
  EXPECT_FALSE(Judge(chain, {Of(2, Middle())}, {"e.test"}).verified);
}

INSTANTIATE_TEST_SUITE_P(Rfc6698, EveryForm,
                         testing::Values(Form{0, 0}, Form{0, 1}, Form{0, 2}, Form{1, 0}, Form{1, 1}, Form{1, 2}),
                         [](const auto& info) {
                           return "Selector" + std::to_string(info.param.selector) + "Matching" +
                                  std::to_string(info.param.matching);
                         });

// Whole data in the record stand for a certificate that need not be sent (RFC 7671 §5.2).
TEST(DaneAuthority, NeedNotBeSentWhereTheRecordHasAllOfIt) {
  const std::string leaf = DerOf(ByMiddle({"mx.test"}));
  for (const int selector : {0, 1}) {
    EXPECT_TRUE(Judge({leaf}, {TlsaOf(2, selector, 0, Middle())}).verified) << selector;
    EXPECT_FALSE(Judge({leaf}, {TlsaOf(2, selector, 1, Middle())}).verified) << selector;
    EXPECT_FALSE(Judge({leaf}, {TlsaOf(2, selector, 0, OtherAuthority())}).verified) << selector;
  }
}

// What is not an authority cannot issue, though a record names it.
TEST(DaneAuthority, MustBeOne) {
  const Identity leaf = MakeIdentity("mx", {"mx.test"}, &GoodIdentity());
  EXPECT_FALSE(Judge({DerOf(leaf), DerOf(GoodIdentity())}, {TlsaOf(2, 0, 1, GoodIdentity())}).verified);
}

TEST(DaneAuthority, RecordsOfTheTwoUsagesAreNotMixedUp) {
  const std::vector<std::string> chain = {DerOf(GoodIdentity()), DerOf(Authority())};
  EXPECT_FALSE(Judge(chain, {TlsaOf(3, 1, 1, Authority())}).verified);
  EXPECT_FALSE(Judge(chain, {TlsaOf(2, 1, 1, GoodIdentity())}).verified);
}

TEST(DaneBounds, ChainOfStrangersIsNotReadToItsEnd) {
  const std::vector<std::string> chain(11, DerOf(GoodIdentity()));
  EXPECT_EQ(Judge(chain, {TlsaOf(3, 1, 1, GoodIdentity())}).why, "the peer sent too many certificates");
}

// ---- Which records are of use. ----

struct UseCase {
  const char* name;
  TlsaRecord record;
  bool usable;
};

class TlsaUse : public testing::TestWithParam<UseCase> {};

TEST_P(TlsaUse, IsJudgedByItsFields) { EXPECT_EQ(UsableTlsa({GetParam().record}).size(), GetParam().usable ? 1u : 0u); }

const std::string k32(32, 'x');
const std::string k64(64, 'x');

INSTANTIATE_TEST_SUITE_P(
    Rfc7672Section31, TlsaUse,
    testing::Values(UseCase{"Sha256", {3, 1, 1, k32}, true}, UseCase{"Sha512", {3, 0, 2, k64}, true},
                    UseCase{"Authority", {2, 0, 1, k32}, true},
                    UseCase{"WholeCertificate", TlsaOf(2, 0, 0, Authority()), true},
                    UseCase{"WholeKey", TlsaOf(3, 1, 0, Authority()), true},
                    UseCase{"PkixAuthority", {0, 0, 1, k32}, false}, UseCase{"PkixEndEntity", {1, 1, 1, k32}, false},
                    UseCase{"UnknownUsage", {4, 1, 1, k32}, false}, UseCase{"UnknownSelector", {3, 2, 1, k32}, false},
                    UseCase{"UnknownMatching", {3, 1, 3, k32}, false},
                    UseCase{"PrivateUsage", {255, 255, 255, k32}, false}, UseCase{"ShortDigest", {3, 1, 1, "x"}, false},
                    UseCase{"LongDigest", {3, 1, 1, k64}, false}, UseCase{"ShortSha512", {3, 1, 2, k32}, false},
                    UseCase{"NoData", {3, 0, 0, ""}, false}, UseCase{"NoCertificate", {3, 0, 0, k32}, false},
                    UseCase{"NoKey", {2, 1, 0, k32}, false},
                    UseCase{"CertificateAndMore", {2, 0, 0, DerOf(Authority()) + "x"}, false},
                    UseCase{"CertificateForAKey", {2, 1, 0, DerOf(Authority())}, false}),
    [](const auto& info) { return std::string(info.param.name); });

// RFC 7671 §9: whoever publishes the stronger digest does not want to be held to the weaker one.
TEST(TlsaUse, StrongerDigestOfOneKindOutdoesTheWeaker) {
  const TlsaRecord strong{3, 1, 2, k64}, weak{3, 1, 1, k32}, other{2, 1, 1, k32};
  EXPECT_EQ(UsableTlsa({weak, other, strong}), (std::vector<TlsaRecord>{strong, other}));
}

TEST(TlsaUse, OrderAndRepetitionDoNotMatter) {
  const TlsaRecord a{3, 1, 1, k32}, b{2, 1, 1, k32};
  EXPECT_EQ(UsableTlsa({a, b, a}), UsableTlsa({b, a}));
}

TEST(TlsaUse, ManyAreBounded) {
  std::vector<TlsaRecord> many;
  for (char c = 0; c < 100; ++c) many.push_back({3, 1, 1, std::string(32, c)});
  EXPECT_EQ(UsableTlsa(many).size(), kMaxTlsaRecords);
}

TEST(TlsaUse, TextIsThatOfAZoneFile) {
  EXPECT_EQ(TlsaText({3, 1, 1, "\x01\xff"}), "3 1 1 01ff");
  EXPECT_EQ(TlsaText({2, 0, 0, std::string(65, '\0')}), "2 0 0 " + std::string(128, '0') + "...");
}

// ---- Sessions are resumed under equal demands alone. ----

std::string KeyOf(std::vector<std::string> other_names, char digest) {
  PeerPolicy policy;
  policy.host = "mx.test";
  policy.dane = DaneDemand{"mx.test", std::move(other_names), {{3, 1, 1, std::string(32, digest)}}};
  return policy.CacheKey();
}

TEST(DaneCacheKey, HoldsAllOfTheDemand) {
  const std::string key = KeyOf({"d.test"}, 'x');
  EXPECT_EQ(KeyOf({"d.test"}, 'x'), key);
  EXPECT_NE(KeyOf({"e.test"}, 'x'), key);
  EXPECT_NE(KeyOf({"d.test"}, 'y'), key);
  PeerPolicy without;
  without.host = "mx.test";
  EXPECT_NE(without.CacheKey(), key);
}

// A renewal that keeps the key keeps what TLSA records say of the key.
TEST(MakeCertificateForAKey, KeepsTheKey) {
  CertificateRequest request;
  request.common_name = "mx";
  request.dns_names = {"mx.test"};
  request.not_before = kNow - absl::Hours(1);
  request.not_after = kNow + absl::Hours(1);
  request.key = GoodIdentity().key;
  const auto renewed = MakeCertificate(request, &Authority());
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_NE(renewed->certificate, GoodIdentity().certificate);
  EXPECT_EQ(renewed->key, GoodIdentity().key);
  EXPECT_TRUE(Judge({DerOf(*renewed)}, {TlsaOf(3, 1, 1, GoodIdentity())}).verified);
  request.key = "no key";
  EXPECT_FALSE(MakeCertificate(request, &Authority()).ok());
}

}  // namespace
}  // namespace hikyaku::tls
