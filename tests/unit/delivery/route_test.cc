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

TEST_P(RouteMatch, FindsTheMostSpecialRow) { EXPECT_EQ(Text(Table().Route({GetParam().domain})), GetParam().wanted); }

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
  EXPECT_EQ(Text(table.Route({"x.test"})), "route host relay.test:2525");
  EXPECT_EQ(Text(table.Route({"a.test"})), "route mx b.test:2525");
  EXPECT_EQ(Text(table.Route({"[192.0.2.5]"})), "route host relay.test:2525");
}

TEST(RouteMatch, NoRowsMeansMxAtTheDefaultPort) {
  EXPECT_EQ(Text(RouteTable(2526).Route({"a.test"})), "mx a.test:2526");
}

// The most special of the rows that fit: by recipient, then stream, tenant, sender.
TEST(RouteMatch, SenderTenantAndStream) {
  const RouteTable table = *RouteTable::Create(
      {
          {"*", "[any]"},
          {"*", "[from-exact]", "a.sender.test"},
          {"*", "[from-suffix]", ".sender.test"},
          {"*", "[from-longer]", ".b.sender.test"},
          {"", "[from-null]", "<>"},
          {"", "[shop]", "", "shop"},
          {"", "[shop-news]", "", "shop", "news"},
          {"", "[news]", "", "", "news"},
          {"in.test", "[inside]"},
          {"in.test", "[inside-shop]", "", "shop"},
          {"few.test", "[few]", "", "few"},
      },
      25);
  const auto host = [&](const RouteQuery& query) { return table.Route(query).host; };
  EXPECT_EQ(host({"x.test", "u@other.test"}), "any");
  EXPECT_EQ(host({"x.test", "u@a.SENDER.test"}), "from-exact");
  EXPECT_EQ(host({"x.test", "u@c.sender.test"}), "from-suffix");
  EXPECT_EQ(host({"x.test", "u@x.b.sender.test"}), "from-longer");
  EXPECT_EQ(host({"x.test", "u@sender.test"}), "any");
  EXPECT_EQ(host({"x.test", ""}), "from-null");
  EXPECT_EQ(host({"x.test", "u@a.sender.test", "shop"}), "shop");
  EXPECT_EQ(host({"x.test", "u@a.sender.test", "shop", "news"}), "shop-news");
  EXPECT_EQ(host({"x.test", "u@a.sender.test", "other", "news"}), "news");
  EXPECT_EQ(host({"in.test", "u@a.sender.test", "other", "news"}), "inside");
  EXPECT_EQ(host({"in.test", "u@a.sender.test", "shop", "news"}), "inside-shop");
  EXPECT_EQ(host({"few.test", "u@other.test", "few"}), "few");
  EXPECT_EQ(host({"few.test", "u@other.test", "shop"}), "shop") << "no row of few.test fits";
}

TEST(RouteMatch, KindsOfNextHop) {
  using Kind = NextHop::Kind;
  const RouteTable table = *RouteTable::Create(
      {
          {"tcp.test", "lmtp:[box.test]"},
          {"named.test", "lmtp:inet:box.test:2424"},
          {"socket.test", "lmtp:unix:/run/lmtp"},
          {"smtp.test", "smtp:[relay.test]:587"},
          {"how.test", "smtp:"},
          {"gone.test", "discard:"},
          {"file.test", "maildir:a/b"},
          {"no.test", "reject:5.1.6 moved"},
      },
      25);
  const auto route = [&](const char* domain) { return table.Route({domain}); };
  EXPECT_EQ(Text(route("tcp.test")), "route host box.test:24");
  EXPECT_EQ(Text(route("named.test")), "route host box.test:2424");
  EXPECT_EQ(Text(route("socket.test")), "route address unix:/run/lmtp:0");
  EXPECT_EQ(Text(route("smtp.test")), "route host relay.test:587");
  EXPECT_EQ(Text(route("how.test")), "mx how.test:25");
  EXPECT_EQ(route("how.test").rule->text, "delivery.routes[4] (how.test)");
  EXPECT_EQ(route("tcp.test").kind, Kind::kLmtp);
  EXPECT_EQ(route("socket.test").kind, Kind::kLmtp);
  EXPECT_EQ(route("smtp.test").kind, Kind::kSmtp);
  for (const char* local : {"gone.test", "file.test", "no.test"}) EXPECT_FALSE(route(local).remote()) << local;
  EXPECT_EQ(route("file.test").rule->target.path, "a/b");
  EXPECT_EQ(route("no.test").rule->target.enhanced, "5.1.6");
}

TEST(RouteRefusal, IsCertainOnlyWhereNobodyPasses) {
  const RouteTable table = *RouteTable::Create(
      {
          {"no.test", "reject:5.1.6 moved"},
          {"some.test", "reject:not from you"},
          {"some.test", "[relay.test]", "", "shop"},
          {"all.test", "reject:not from shop", "", "shop"},
          {"all.test", "error:nor anybody"},
          {".deep.test", "reject:below"},
          {"open.deep.test", "[relay.test]"},
          {"star.test", "reject:not shop", "", "shop"},
      },
      25);
  EXPECT_EQ(table.CertainRefusal("no.test"), "5.1.6 moved");
  EXPECT_EQ(table.CertainRefusal("some.test"), std::nullopt);
  EXPECT_EQ(table.CertainRefusal("all.test"), "5.7.1 nor anybody");
  EXPECT_EQ(table.CertainRefusal("a.deep.test"), "5.7.1 below");
  EXPECT_EQ(table.CertainRefusal("open.deep.test"), std::nullopt);
  EXPECT_EQ(table.CertainRefusal("star.test"), std::nullopt);
  EXPECT_EQ(table.CertainRefusal("other.test"), std::nullopt);
}

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
                             {"BadSender", {"a.test", "[b.test]", "a..test"}, "sender_domain \"a..test\""},
                             {"LmtpWithoutHost", {"a.test", "lmtp:"}, "host is missing"},
                             {"SocketWithoutPath", {"a.test", "lmtp:unix:run/lmtp"}, "full path"},
                             {"MaildirUpwards", {"a.test", "maildir:a/../b"}, "\"..\""},
                             {"MaildirNowhere", {"a.test", "maildir:/"}, "folder is missing"},
                             {"RejectWithoutText", {"a.test", "error:5.1.1"}, "text is missing"},
                             {"RejectThatIsTransient", {"a.test", "error:4.1.1 later"}, "no code of a refusal"},
                             {"SocketWithAName", {"a.test", "lmtp:unix:/x", "", "", "", "", TlsLevel::kVerify}, "no name"},
                             {"SocketWithRecords", {"a.test", "lmtp:unix:/x", "", "", "", "", TlsLevel::kDaneOnly}, "no name"},
                             {"SocketThatTakesPasswords",
                              {"a.test", "lmtp:unix:/x", "", "", "", "", {}, {}, LoginOptions{"ann", "/x", {}, false}},
                              "auth.user \"ann\""},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::delivery
