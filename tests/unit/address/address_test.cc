#include "lib/address/address.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::address {
namespace {

using absl::StatusCode;

const std::string k64(64, 'l');
const std::string kLabels189 =  // 189 octets: with a local part of 64 and the brackets, the path has 256.
    std::string(62, 'a') + "." + std::string(62, 'b') + "." + std::string(63, 'c');

struct Good {
  const char* name;
  std::string text;
  std::string canonical;
};

class AddressAccepted : public testing::TestWithParam<Good> {};

TEST_P(AddressAccepted, ComesOutCanonical) {
  const absl::StatusOr<Address> got = ParseAddress(GetParam().text);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->ToString(), GetParam().canonical);
  EXPECT_EQ(ParseAddress(got->ToString()).value(), *got) << "what we write is what we read";
  const std::string argument = absl::StrCat("<", GetParam().text, "> SIZE=1");  // Path::rest points into it.
  const absl::StatusOr<Path> path = ParsePath(argument, {});
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(path->address, *got) << "the API and SMTP agree";
  EXPECT_EQ(path->rest, " SIZE=1");
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section412, AddressAccepted,
    testing::ValuesIn<Good>({
        {"Plain", "alice@ours.test", "alice@ours.test"},
        {"LocalCaseKept", "Alice.B@OURS.Test", "Alice.B@ours.test"},
        {"EveryAtext", "!#$%&'*+-/=?^_`{|}~@ok.test", "!#$%&'*+-/=?^_`{|}~@ok.test"},
        {"Localhost", "s@localhost", "s@localhost"},
        {"NeedlessQuotes", "\"alice\"@ok.test", "alice@ok.test"},
        {"NeedlessEscape", "\"al\\ice\"@ok.test", "alice@ok.test"},
        {"QuotedDotAtom", "\"a.b\"@ok.test", "a.b@ok.test"},
        {"QuotedSpace", "\"a b\"@ok.test", "\"a b\"@ok.test"},
        {"QuotedTwoDots", "\"a..b\"@ok.test", "\"a..b\"@ok.test"},
        {"QuotedDotLast", "\"ab.\"@ok.test", "\"ab.\"@ok.test"},
        {"QuotedQuote", "\"a\\\"b\\\\c\"@ok.test", "\"a\\\"b\\\\c\"@ok.test"},
        {"QuotedBracket", "\"a>b\"@ok.test", "\"a>b\"@ok.test"},
        {"QuotedEmpty", "\"\"@ok.test", "\"\"@ok.test"},
        {"Utf8Local", "ü@ok.test", "ü@ok.test"},
        {"Utf8LowBytesLikeCrLf", "\xe5\x98\x8a\xe5\x98\x8d@ok.test", "\xe5\x98\x8a\xe5\x98\x8d@ok.test"},  // I6.
        {"IdnDomain", "r@bücher.test", "r@xn--bcher-kva.test"},
        {"IdnDomainUpper", "r@BÜCHER.test", "r@xn--bcher-kva.test"},
        {"IdnFullStop", "r@ok。test", "r@ok.test"},
        {"LiteralV4", "u@[192.0.2.1]", "u@[192.0.2.1]"},
        {"LiteralV6", "u@[ipv6:2001:DB8::1]", "u@[IPv6:2001:db8::1]"},
        // X04: syntax allows these; whether to connect is for the egress guard.
        {"X04LiteralLoopback", "u@[127.0.0.1]", "u@[127.0.0.1]"},
        {"X04LiteralPrivate", "u@[10.9.9.1]", "u@[10.9.9.1]"},
        {"X04LiteralLoopbackV6", "u@[IPv6:::1]", "u@[IPv6:::1]"},
        {"X04LiteralMapped", "u@[IPv6:::ffff:127.0.0.1]", "u@[IPv6:::ffff:127.0.0.1]"},
        // R31: `%`, `!` and quoted `@` are characters of a local part, and go with it to the last domain.
        {"R08Percent", "v%out.test@mx.ours.test", "v%out.test@mx.ours.test"},
        {"R09PercentLiteral", "v%out.test@[192.0.2.1]", "v%out.test@[192.0.2.1]"},
        {"R14QuotedAt", "\"v@out.test\"@mx.ours.test", "\"v@out.test\"@mx.ours.test"},
        {"R20Bang", "out.test!v@mx.ours.test", "out.test!v@mx.ours.test"},
        {"H05LooksLikeAnOption", "-oQ/tmp@ok.test", "-oQ/tmp@ok.test"},
        {"P14LocalOf64", k64 + "@ok.test", k64 + "@ok.test"},
        {"P14PathOf256", k64 + "@" + kLabels189, k64 + "@" + kLabels189},
    }),
    [](const auto& info) { return std::string(info.param.name); });

struct Bad {
  const char* name;
  std::string text;
  StatusCode code = StatusCode::kInvalidArgument;
};

class AddressRefused : public testing::TestWithParam<Bad> {};

TEST_P(AddressRefused, ByTheApiAndBySmtp) {
  const absl::StatusOr<Address> got = ParseAddress(GetParam().text);
  EXPECT_EQ(got.status().code(), GetParam().code) << got.status();
  EXPECT_EQ(ParsePath(absl::StrCat("<", GetParam().text, ">"), {}).status().code(), GetParam().code);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section412, AddressRefused,
    testing::ValuesIn<Bad>({
        {"Empty", ""},
        {"NoAt", "alice"},
        {"NoLocal", "@ok.test"},
        {"NoDomain", "alice@"},
        {"DotFirst", ".a@ok.test"},
        {"DotLast", "a.@ok.test"},
        {"TwoDots", "a..b@ok.test"},
        {"SpaceFirst", " a@ok.test"},
        {"SpaceLast", "a@ok.test "},
        {"SpaceInside", "a b@ok.test"},
        {"Comment", "a(c)@ok.test"},
        {"Comma", "a,b@ok.test"},
        {"Colon", "a:b@ok.test"},
        {"Backslash", "a\\b@ok.test"},
        {"QuoteNotClosed", "\"a@ok.test"},
        {"QuoteInside", "a\"b\"@ok.test"},
        {"TextAfterQuote", "\"a\"b@ok.test"},
        {"EscapeLast", "\"a\\"},
        {"EscapedControl", "\"a\\\r\"@ok.test"},
        {"Tab", "\"a\tb\"@ok.test"},
        {"Nul", std::string("a\0@ok.test", 10)},
        {"NulInDomain", std::string("a@ok\0.test", 10)},
        {"Del", "\"a\x7f\"@ok.test"},
        {"BareCr", "a@ok.test\r"},
        {"BareLf", "a\nb@ok.test"},
        {"P20BadUtf8", "\xff@ours.test"},
        {"OverlongUtf8", "\xc0\xaf@ours.test"},
        {"SurrogateUtf8", "\xed\xa0\x80@ours.test"},
        {"NextLineI8", "a\xc2\x85@ok.test"},
        {"LineSeparatorI7", "a\xe2\x80\xa8@ok.test"},
        {"R12TwoAts", "v@out.test@mx.ours.test"},
        {"R16SourceRoute", "@mx.ours.test:v@out.test"},
        {"R17SourceRouteLiteral", "@[192.0.2.1]:v@out.test"},
        {"R19BangWithoutDomain", "out.test!v"},
        {"R22PercentWithoutDomain", "v%out.test"},
        {"R24TrailingDot", "v@out.test."},
        {"R30Postmaster", "postmaster"},
        {"X04ShortQuad", "u@127.1"},
        {"X04Number", "u@2130706433"},
        {"X04HexLiteral", "u@[0x7f.1]"},
        {"X04Port", "u@ok.test:25"},
        {"X04PathInDomain", "u@ok.test/.."},
        {"BareQuad", "u@127.0.0.1"},
        {"LiteralWithText", "u@[192.0.2.1]x"},
        {"N15BadPunycode", "r@xn--a.test"},
        {"H05QuotedCrLf", "\"a\r\n b\"@ok.test"},
        {"H05Shell", ";sleep 9;@ok.test"},
        {"I11SecondAddress", "\"><b@evil.test>"},
        {"N15LabelOf64", "r@" + std::string(64, 'a') + ".test", StatusCode::kOutOfRange},
        {"P14LocalOf65", k64 + "l@ok.test", StatusCode::kOutOfRange},
        {"P14QuotedLocalOf65", "\"" + std::string(62, 'l') + " \"@ok.test", StatusCode::kOutOfRange},
        {"P14PathOf257", k64 + "@" + kLabels189 + "c", StatusCode::kOutOfRange},
        {"P14DomainOf256", "a@" + kLabels189 + "." + std::string(66, 'd'), StatusCode::kOutOfRange},
    }),
    [](const auto& info) { return std::string(info.param.name); });

// What gets out of the brackets in one of the two but cannot in the other.
TEST(ApiAddress, NeverHoldsWhatFollowsAPath) {
  for (const char* text : {"v@ok.test>\r\nRCPT TO:<w@evil.test", "v@ok.test NOTIFY=SUCCESS", "v@ok.test> SIZE=1",
                           "<v@ok.test", "<v@ok.test>", "a@ok.test>", "a\r\n.\r\nRCPT TO:<b@evil.test>"}) {
    EXPECT_EQ(ParseAddress(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(ParseAddress(std::string(1 << 20, 'a')).status().code(), StatusCode::kOutOfRange);
}

TEST(SmtpUtf8, IsNeededByTheLocalPartAlone) {
  EXPECT_TRUE(ParseAddress("ü@ok.test")->NeedsSmtpUtf8());
  EXPECT_TRUE(ParseAddress("\"ü b\"@ok.test")->NeedsSmtpUtf8());
  EXPECT_FALSE(ParseAddress("r@bücher.test")->NeedsSmtpUtf8());
  EXPECT_FALSE(Address().NeedsSmtpUtf8());
}

TEST(LiteralDomain, IsMarked) {
  EXPECT_TRUE(ParseAddress("u@[192.0.2.1]")->literal);
  EXPECT_FALSE(ParseAddress("u@ok.test")->literal);
}

TEST(PathForms, NullPathNeedsLeave) {
  const absl::StatusOr<Path> path = ParsePath("<> SIZE=10", {.allow_null = true});
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_TRUE(path->null);
  EXPECT_TRUE(path->address.empty());
  EXPECT_EQ(path->address.ToString(), "");
  EXPECT_EQ(path->rest, " SIZE=10");
  EXPECT_EQ(ParsePath("<>", {}).status().code(), StatusCode::kInvalidArgument);
}

TEST(PathForms, PostmasterNeedsLeave) {
  const PathOptions leave{.allow_postmaster = true};
  const absl::StatusOr<Path> path = ParsePath("<PostMaster>", leave);
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_TRUE(path->bare_postmaster);
  EXPECT_EQ(path->address.ToString(), "PostMaster");
  EXPECT_TRUE(path->rest.empty());
  EXPECT_FALSE(ParsePath("<postmaster@ok.test>", leave)->bare_postmaster);
  EXPECT_FALSE(ParsePath("<postmaster>", {.allow_null = true}).ok());
  EXPECT_FALSE(ParsePath("<abuse>", leave).ok());
  EXPECT_FALSE(ParsePath("<postmaster@>", leave).ok());
}

TEST(PathForms, BracketsAreNeededAndClosed) {
  const PathOptions all{.allow_null = true, .allow_postmaster = true};
  for (const char* text : {"", "<", "a@b.test", " <a@b.test>", "<a@b.test", "<a", "<\"a@b.test>", "<a@b.test>x", "<>x",
                           "<a@b.test>>", "<<a@b.test>>", "< a@b.test>", "<a@b.test >", "<a@b.test>\tSIZE=1", "< >"}) {
    EXPECT_EQ(ParsePath(text, all).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

TEST(MakeAddress, QuotesWhatNeedsIt) {
  EXPECT_EQ(MakeAddress("a b", "OK.test")->ToString(), "\"a b\"@ok.test");
  EXPECT_EQ(MakeAddress("a.b", "[192.0.2.1]")->ToString(), "a.b@[192.0.2.1]");
  EXPECT_EQ(MakeAddress("a\r\nb", "ok.test").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace hikyaku::address
