#include "lib/delivery/route.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

// "mx example.net:25", "host example.net:25", "address [192.0.2.1]:25", "route …" where a row says so.
std::string Text(const NextHop& hop) {
  return absl::StrCat(hop.routed ? "route " : "",
                      hop.mx_lookup ? "mx "
                      : hop.literal ? "address "
                                    : "host ",
                      hop.host, ":", hop.port);
}

RouteTable Table() {
  return *RouteTable::Create(
      {
          {"example.com", "[relay.test]:2525"},
          {".example.com", "[192.0.2.1]"},
          {".deep.example.com", "hub.test:587"},
          {"BÜCHER.test", "[IPv6:::1]:26"},
          {"v6.test", "[2001:db8::1]:26"},
          {"[203.0.113.9]", "[198.51.100.7]"},
      },
      25);
}

struct MatchCase {
  const char* name;
  const char* domain;
  const char* wanted;
};

class RouteMatch : public testing::TestWithParam<MatchCase> {};

TEST_P(RouteMatch, FindsTheMostSpecialRow) { EXPECT_EQ(Text(Table().Route(GetParam().domain)), GetParam().wanted); }

INSTANTIATE_TEST_SUITE_P(Rows, RouteMatch,
                         testing::ValuesIn<MatchCase>({
                             {"Exact", "example.com", "route host relay.test:2525"},
                             {"Suffix", "a.example.com", "route address [192.0.2.1]:25"},
                             {"SuffixOfMoreLabels", "a.b.example.com", "route address [192.0.2.1]:25"},
                             {"SuffixIsNotTheDomainItself", "deep.example.com", "route address [192.0.2.1]:25"},
                             {"LongestSuffix", "a.deep.example.com", "route mx hub.test:587"},
                             {"UnicodeRowMatchesALabel", "xn--bcher-kva.test", "route address [IPv6:::1]:26"},
                             {"BareIpv6InBrackets", "v6.test", "route address [IPv6:2001:db8::1]:26"},
                             {"Literal", "[203.0.113.9]", "route address [198.51.100.7]:25"},
                             {"NoRow", "other.test", "mx other.test:25"},
                             {"NoRowLiteral", "[203.0.113.10]", "address [203.0.113.10]:25"},
                             {"NoPartialLabel", "notexample.com", "mx notexample.com:25"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(RouteMatch, StarTakesTheRestAndLiterals) {
  const RouteTable table = *RouteTable::Create({{"*", "[relay.test]"}, {"a.test", "b.test"}}, 2525);
  EXPECT_EQ(Text(table.Route("x.test")), "route host relay.test:2525");
  EXPECT_EQ(Text(table.Route("a.test")), "route mx b.test:2525");
  EXPECT_EQ(Text(table.Route("[192.0.2.5]")), "route host relay.test:2525");
}

TEST(RouteMatch, NoRowsMeansMxAtTheDefaultPort) { EXPECT_EQ(Text(RouteTable(2526).Route("a.test")), "mx a.test:2526"); }

struct BadCase {
  const char* name;
  RouteRow row;
  const char* wanted;
};

class RouteError : public testing::TestWithParam<BadCase> {};

TEST_P(RouteError, NamesTheRowAndWhatIsWrong) {
  const auto table = RouteTable::Create({{"first.test", "[a.test]"}, GetParam().row}, 25);
  ASSERT_FALSE(table.ok());
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string text(table.status().message());
  EXPECT_EQ(text.rfind("delivery.routes[1].", 0), 0u) << text;
  EXPECT_NE(text.find(GetParam().wanted), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(Rows, RouteError,
                         testing::ValuesIn<BadCase>({
                             {"NoClosingBracket", {"a.test", "[relay.test"}, "\"]\" is missing"},
                             {"JunkAfterBracket", {"a.test", "[relay.test]x"}, "\":port\""},
                             {"PortZero", {"a.test", "[relay.test]:0"}, "port"},
                             {"PortTooLarge", {"a.test", "relay.test:65536"}, "port"},
                             {"PortNotANumber", {"a.test", "relay.test:smtp"}, "port"},
                             {"AddressWithoutBrackets", {"a.test", "192.0.2.1:25"}, "brackets"},
                             {"Ipv6WithoutBrackets", {"a.test", "2001:db8::1"}, "brackets"},
                             {"EmptyTo", {"a.test", ""}, "to \"\""},
                             {"EmptyDomain", {"", "[a.test]"}, "domain \"\""},
                             {"BadDomain", {"a..test", "[a.test]"}, "domain"},
                             {"Twice", {"FIRST.test", "[b.test]"}, "same domain"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::delivery
