#include "lib/address/mailbox.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace hikyaku::address {
namespace {

using absl::StatusCode;

// `name|address` of each, joined by `;`.
std::string Shown(const std::vector<Mailbox>& all) {
  return absl::StrJoin(all, ";", [](std::string* out, const Mailbox& mailbox) {
    absl::StrAppend(out, mailbox.display_name, "|", mailbox.address.ToString());
  });
}

struct Good {
  const char* name;
  std::string body;
  std::string shown;
};

class MailboxList : public testing::TestWithParam<Good> {};

TEST_P(MailboxList, IsRead) {
  const absl::StatusOr<std::vector<Mailbox>> got = ParseMailboxList(GetParam().body);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(Shown(*got), GetParam().shown);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5322, MailboxList,
    testing::ValuesIn<Good>({
        {"Bare", " a@ok.test", "|a@ok.test"},
        {"Angle", "<a@ok.test>", "|a@ok.test"},
        {"Named", "Alice <a@ok.test>", "Alice|a@ok.test"},
        {"NoSpaceBeforeAngle", "Alice<a@ok.test>", "Alice|a@ok.test"},
        {"TwoWords", "Alice   B\t<a@ok.test>", "Alice B|a@ok.test"},
        {"Quoted", "\"B, Alice (x) \\\"A\\\"\" <a@ok.test>", "B, Alice (x) \"A\"|a@ok.test"},
        {"ObsoleteDotInName", "John Q. Public <a@ok.test>", "John Q. Public|a@ok.test"},
        {"EncodedWord", "=?utf-8?q?B=C3=BC?= <a@ok.test>", "=?utf-8?q?B=C3=BC?=|a@ok.test"},
        {"Utf8Name", "Bü 例え <a@ok.test>", "Bü 例え|a@ok.test"},
        {"Latin1Name", "M\xfcller <a@ok.test>", "M?ller|a@ok.test"},
        {"Utf8Address", "ü@bücher.test", "|ü@xn--bcher-kva.test"},
        {"Two", "a@ok.test, B <b@ok.test>", "|a@ok.test;B|b@ok.test"},
        {"EmptyElements", ",a@ok.test,, ,b@ok.test,", "|a@ok.test;|b@ok.test"},
        {"Comments", "(x) a (y(z\\)) w) @ (v) ok.test (\"u\")", "|a@ok.test"},
        {"Folded", "Alice\r\n B <a\r\n\t@ok.test>,\r\n b@ok.test\r\n", "Alice B|a@ok.test;|b@ok.test"},
        {"FoldInQuotes", "\"Alice\r\n B\" <a@ok.test>", "Alice B|a@ok.test"},
        {"QuotedLocal", "\"a b\"@ok.test", "|\"a b\"@ok.test"},
        {"ObsoleteLocal", "\"a\" . b@ok . test", "|a.b@ok.test"},
        {"Literal", "a@[192.0.2.1]", "|a@[192.0.2.1]"},
        {"Group", "team: a@ok.test, B <b@ok.test>; , c@ok.test", "|a@ok.test;B|b@ok.test;|c@ok.test"},
        {"EmptyGroup", "undisclosed-recipients:;", ""},
        {"Empty", "", ""},
        {"OnlySpace", " \r\n \t", ""},
        {"NameLikeAnAddress", "\"alice@ours.test\" <b@evil.test>", "alice@ours.test|b@evil.test"},
        {"Rfc5322AppendixA12", "\"Joe Q. Public\" <john.q.public@example.com>",
         "Joe Q. Public|john.q.public@example.com"},
        {"Rfc5322AppendixA13", "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
         "Ed Jones|c@a.test;|joe@where.test;John|jdoe@one.test"},
        {"Rfc5322AppendixA5", "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete@silly.test"},
        {"Rfc5322AppendixA63", "Mary Smith  <mary@example.net>, , jdoe@test  . example",
         "Mary Smith|mary@example.net;|jdoe@test.example"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

struct Bad {
  const char* name;
  std::string body;
  StatusCode code = StatusCode::kInvalidArgument;
};

class MailboxListRefused : public testing::TestWithParam<Bad> {};

TEST_P(MailboxListRefused, WithItsReason) {
  const absl::StatusOr<std::vector<Mailbox>> got = ParseMailboxList(GetParam().body);
  ASSERT_FALSE(got.ok()) << Shown(*got);
  EXPECT_EQ(got.status().code(), GetParam().code) << got.status();
}

std::string Many(int n) {
  std::string body = "a@ok.test";
  for (int i = 1; i < n; ++i) body += ",a@ok.test";
  return body;
}

INSTANTIATE_TEST_SUITE_P(Rfc5322, MailboxListRefused,
                         testing::ValuesIn<Bad>({
                             {"NullAddress", "<>"},
                             {"NamedNull", "Alice <>"},
                             {"NameAlone", "Alice"},
                             {"NameAndAddressWithoutAngle", "Alice a@ok.test"},
                             {"AngleNotClosed", "Alice <a@ok.test"},
                             {"TextAfterAngle", "<a@ok.test> x"},
                             {"TwoWithoutComma", "<a@ok.test> <b@ok.test>"},
                             {"TwoAddressesInAngle", "<a@ok.test, b@ok.test>"},
                             {"QuoteNotClosed", "\"Alice <a@ok.test>"},
                             {"CommentNotClosed", "a@ok.test (x"},
                             {"CommentEndsInEscape", "a@ok.test (x\\"},
                             {"LiteralNotClosed", "a@[192.0.2.1"},
                             {"StrayClose", "a@ok.test)"},
                             {"SourceRoute", "<@b.test:a@ok.test>"},
                             {"GroupNotClosed", "team: a@ok.test"},
                             {"GroupInGroup", "a: b: c@ok.test;;"},
                             {"GroupWithoutName", ": a@ok.test;"},
                             {"StraySemicolon", "a@ok.test;"},
                             {"BareCr", "Alice\rBcc: v@x.test <a@ok.test>"},
                             {"BareLf", "Alice\n <a@ok.test>"},
                             {"CrLfWithoutFold", "a@ok.test\r\nBcc: v@x.test"},
                             {"ControlInName", "Al\x01ice <a@ok.test>"},
                             {"Nul", std::string("Al\0ice <a@ok.test>", 18)},
                             {"TwoDots", "a..b@ok.test"},
                             {"TwoAts", "a@b@ok.test"},
                             {"DomainOfTwoAtoms", "<a@ok test>"},
                             {"BadDomain", "a@o_k.test"},
                             {"Latin1Local", "M\xfcller@ok.test"},
                             {"LocalTooLong", std::string(65, 'a') + "@ok.test", StatusCode::kOutOfRange},
                             {"TooMany", Many(1001), StatusCode::kResourceExhausted},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(MailboxListBounds, AThousandAreTaken) { EXPECT_EQ(ParseMailboxList(Many(1000))->size(), 1000u); }

TEST(MailboxListBounds, HostileNestingCostsLinearTime) {
  const absl::Time start = absl::Now();
  EXPECT_FALSE(ParseMailboxList(std::string(4 << 20, '(')).ok());
  EXPECT_FALSE(ParseMailboxList(std::string(4 << 20, ',') + "x").ok());
  EXPECT_FALSE(ParseMailboxList(std::string(1 << 20, '.')).ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST(OneMailbox, IsExactlyOne) {
  EXPECT_EQ(ParseMailbox("Alice <a@ok.test>")->display_name, "Alice");
  EXPECT_EQ(ParseMailbox("a@ok.test")->address.ToString(), "a@ok.test");
  EXPECT_EQ(ParseMailbox("").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseMailbox("a@ok.test, b@ok.test").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace hikyaku::address
