#include "lib/mta_sts/policy.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace hikyaku::mta_sts {
namespace {

constexpr char kGood[] =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.EXAMPLE.net\r\nmax_age: 604800\r\n";

std::string Id(std::vector<std::string> records) { return RecordId(records).value_or("none"); }

TEST(Rfc8461Section31, GivesTheIdOfTheOneRecordThatIsValid) {
  EXPECT_EQ(Id({"v=STSv1; id=20160831085700Z;"}), "20160831085700Z");
  EXPECT_EQ(Id({"v=STSv1;id=1"}), "1");
  EXPECT_EQ(Id({"v=spf1 -all", "v=STSv1 ; id=2 ; x=y;"}), "2");
  EXPECT_EQ(Id({"v=STSv1; x=y; id=3"}), "3");
}

TEST(Rfc8461Section31, AnythingElseIsNoPolicy) {
  EXPECT_EQ(Id({}), "none");
  EXPECT_EQ(Id({"v=spf1 -all"}), "none");
  EXPECT_EQ(Id({"v=STSv1; id=1;", "v=STSv1; id=2;"}), "none");
  EXPECT_EQ(Id({"v=STSv1; id=1;", "v=STSv1;"}), "none");
  EXPECT_EQ(Id({"v=STSv1"}), "none");
  EXPECT_EQ(Id({"v=STSv1;"}), "none");
  EXPECT_EQ(Id({"v=STSv1; id=;"}), "none");
  EXPECT_EQ(Id({"v=STSv1; id=a-b;"}), "none");
  EXPECT_EQ(Id({"id=1; v=STSv1;"}), "none");
  EXPECT_EQ(Id({"V=stsv1; id=1;"}), "none");
  EXPECT_EQ(Id({absl::StrCat("v=STSv1; id=", std::string(33, 'a'))}), "none");
}

// Records that do not begin with "v=STSv1;" are discarded, and do not make two.
TEST(Rfc8461Section31, RecordsOfOtherVersionsAreDiscarded) {
  EXPECT_EQ(Id({"v=STSv12; id=2;", "v=STSv1; id=1;"}), "1");
  EXPECT_EQ(Id({"v=STSv12; id=2;"}), "none");
}

TEST(Rfc8461Section32, PolicyIsRead) {
  const auto policy = ParsePolicy(kGood);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(policy->mode, Mode::kEnforce);
  EXPECT_EQ(policy->mx, (std::vector<std::string>{"mail.example.com", "*.example.net"}));
  EXPECT_EQ(policy->max_age, absl::Hours(24 * 7));
}

TEST(Rfc8461Section32, LinesReadTheSameAgain) {
  const Policy policy = *ParsePolicy(kGood);
  EXPECT_EQ(absl::StrJoin(policy.Lines(), "|"),
            "version: STSv1|mode: enforce|mx: mail.example.com|mx: *.example.net|max_age: 604800");
  EXPECT_EQ(*ParsePolicy(absl::StrJoin(policy.Lines(), "\n")), policy);
}

TEST(Rfc8461Section32, OtherKeysAndLineEndsDoNoHarm) {
  EXPECT_TRUE(ParsePolicy("version:STSv1\nmode:testing\nmx:a.test\nmax_age:1\nnew: thing\n\n").ok());
  EXPECT_TRUE(ParsePolicy("max_age: 0\nmx: a.test \nmode: enforce \nversion: STSv1").ok());
  EXPECT_TRUE(ParsePolicy("version: STSv1\nmode: none\nmax_age: 86400\n").ok()) << "none needs no mx";
}

TEST(Rfc8461Section32, LifeIsAYearAtMost) {
  EXPECT_EQ(ParsePolicy("version: STSv1\nmode: none\nmax_age: 9999999999\n")->max_age, absl::Seconds(31'557'600));
}

TEST(Rfc8461Section32, TheFirstOfAKeyCounts) {
  EXPECT_EQ(ParsePolicy(absl::StrCat(kGood, "mode: none\r\n"))->mode, Mode::kEnforce);
}

struct BadPolicy {
  const char* name;
  std::string text;
  const char* why;
};

class BadPolicies : public testing::TestWithParam<BadPolicy> {};

TEST_P(BadPolicies, AreRefusedWithAReason) {
  const auto policy = ParsePolicy(GetParam().text);
  ASSERT_FALSE(policy.ok());
  EXPECT_NE(policy.status().message().find(GetParam().why), absl::string_view::npos) << policy.status();
}

std::string ManyHosts(std::size_t count) {
  std::string text = "version: STSv1\nmode: enforce\nmax_age: 1\n";
  for (std::size_t i = 0; i < count; ++i) absl::StrAppend(&text, "mx: a.test\n");
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Rfc8461Section32, BadPolicies,
    testing::ValuesIn<BadPolicy>({
        {"Empty", "", "version"},
        {"Page", "<html>not found</html>", "version"},
        {"OtherVersion", "version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 1\n", "version"},
        {"ModeInCapitals", "version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1\n", "mode"},
        {"NoMode", "version: STSv1\nmx: a.test\nmax_age: 1\n", "mode"},
        {"NoHost", "version: STSv1\nmode: enforce\nmax_age: 1\n", "lists no mx"},
        {"NoHostInTesting", "version: STSv1\nmode: testing\nmax_age: 1\n", "lists no mx"},
        {"NoAge", "version: STSv1\nmode: enforce\nmx: a.test\n", "max_age"},
        {"NegativeAge", "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1\n", "max_age"},
        {"SignedAge", "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: +1\n", "max_age"},
        {"LongAge", "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 00000000001\n", "max_age"},
        {"HostWithBlank", "version: STSv1\nmode: enforce\nmx: a b\nmax_age: 1\n", "\"a b\", which is no host"},
        {"TwoWildcards", "version: STSv1\nmode: enforce\nmx: *.*.test\nmax_age: 1\n", "which is no host"},
        {"WildcardAlone", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", "which is no host"},
        {"WildcardWithin", "version: STSv1\nmode: enforce\nmx: a*.test\nmax_age: 1\n", "which is no host"},
        {"EmptyHost", "version: STSv1\nmode: enforce\nmx:\nmax_age: 1\n", "which is no host"},
        {"TooLarge", std::string(Policy::kMaxSize + 1, ' '), "64KiB"},
        {"TooManyHosts", ManyHosts(Policy::kMaxHosts + 1), "more than 200 hosts"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Rfc8461Section32, BoundsAreInclusive) { EXPECT_TRUE(ParsePolicy(ManyHosts(Policy::kMaxHosts)).ok()); }

TEST(Rfc8461Section41, WildcardStandsForOneLabel) {
  const Policy policy = *ParsePolicy(kGood);
  EXPECT_TRUE(policy.Lists("mail.example.com"));
  EXPECT_TRUE(policy.Lists("mx1.example.net"));
  EXPECT_FALSE(policy.Lists("a.b.example.net"));
  EXPECT_FALSE(policy.Lists("example.net"));
  EXPECT_FALSE(policy.Lists(".example.net"));
  EXPECT_FALSE(policy.Lists("mail.example.com.evil.test"));
  EXPECT_FALSE(policy.Lists("x.mail.example.com"));
  EXPECT_FALSE(policy.Lists("example"));
  EXPECT_FALSE(policy.Lists(""));
}

}  // namespace
}  // namespace hikyaku::mta_sts
