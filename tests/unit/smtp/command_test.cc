#include "lib/smtp/command.h"

#include <cstdint>
#include <string>
#include <variant>

#include "gtest/gtest.h"

namespace hikyaku::smtp {
namespace {

struct VerbCase {
  const char* name;
  std::string line;
  Verb verb;
  std::string args;
};

class CommandLine : public testing::TestWithParam<VerbCase> {};

TEST_P(CommandLine, Parses) {
  const Command command = ParseCommand(GetParam().line);
  EXPECT_EQ(command.verb, GetParam().verb);
  EXPECT_EQ(std::string(command.args), GetParam().args);
}

INSTANTIATE_TEST_SUITE_P(Rfc5321Section24, CommandLine,
                         testing::ValuesIn<VerbCase>({
                             {"AnyCase", "mAiL fRoM:<a@b.test>", Verb::kMail, "fRoM:<a@b.test>"},
                             {"TrailingBlanks", "NOOP  \t", Verb::kNoop, ""},
                             {"BlanksBeforeArgument", "EHLO   c.test ", Verb::kEhlo, "c.test"},
                             {"StartTls", "STARTTLS", Verb::kStartTls, ""},
                             {"Unknown", "FOO bar", Verb::kUnknown, ""},
                             {"Empty", "", Verb::kUnknown, ""},
                             {"LeadingBlank", " NOOP", Verb::kUnknown, ""},
                             {"VerbGluedToArgument", "NOOPx", Verb::kUnknown, ""},
                             {"EightBit", "\x80\x81", Verb::kUnknown, ""},
                             {"Nul", std::string("NO\0OP", 5), Verb::kUnknown, ""},
                             {"NulInArgument", std::string("EHLO a\0b", 8), Verb::kUnknown, ""},
                             {"BareLf", "NOOP\nMAIL FROM:<a@b.test>", Verb::kUnknown, ""},
                             {"BareCr", "NOOP\rMAIL FROM:<a@b.test>", Verb::kUnknown, ""},
                             {"Escape", "NOOP \x1b[2J", Verb::kUnknown, ""},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

struct MailCase {
  const char* name;
  std::string args;
  int refused;           // 0: accepted.
  std::string enhanced;  // Of the refusal.
  std::string sender;
  std::uint64_t size = 0;
  bool eight_bit = false, smtputf8 = false;
};

class MailArguments : public testing::TestWithParam<MailCase> {};

TEST_P(MailArguments, Parse) {
  const MailCase& c = GetParam();
  const auto parsed = ParseMail(c.args);
  if (const Reply* refusal = std::get_if<Reply>(&parsed)) {
    EXPECT_EQ(refusal->code, c.refused) << refusal->text;
    EXPECT_EQ(refusal->enhanced, c.enhanced);
    return;
  }
  ASSERT_EQ(c.refused, 0);
  const MailCommand& mail = std::get<MailCommand>(parsed);
  EXPECT_EQ(mail.sender.ToString(), c.sender);
  EXPECT_EQ(mail.size, c.size);
  EXPECT_EQ(mail.eight_bit, c.eight_bit);
  EXPECT_EQ(mail.smtputf8, c.smtputf8);
}

TEST(MailArguments, OfDsn) {
  const auto parsed = ParseMail("FROM:<a@b.test> ret=hdrs ENVID=QQ+2B1 SIZE=3");
  ASSERT_TRUE(std::holds_alternative<MailCommand>(parsed));
  EXPECT_EQ(std::get<MailCommand>(parsed).returned, dsn::Returned::kHeaders);
  EXPECT_EQ(std::get<MailCommand>(parsed).envelope_id, "QQ+2B1");
}

const std::string kLocal64(64, 'l');
const std::string kLocal65(65, 'l');

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section41, MailArguments,
    testing::ValuesIn<MailCase>({
        {"Plain", "FROM:<alice@ours.test>", 0, "", "alice@ours.test"},
        {"Null", "FROM:<>", 0, "", ""},
        {"NullWithSize", "FROM:<> SIZE=7", 0, "", "", 7},
        {"BlankAfterColon", "FROM: <alice@ours.test>", 0, "", "alice@ours.test"},
        {"AllParameters", "from:<a@b.test> size=12 body=8bitmime smtputf8", 0, "", "a@b.test", 12, true, true},
        {"SevenBit", "FROM:<a@b.test> BODY=7BIT", 0, "", "a@b.test"},
        {"ManyBlanks", "FROM:<a@b.test>   SIZE=1  ", 0, "", "a@b.test", 1},
        {"DomainInLowerCase", "FROM:<Alice@OURS.Test>", 0, "", "Alice@ours.test"},
        {"Quoted", "FROM:<\"a b\"@b.test>", 0, "", "\"a b\"@b.test"},
        {"Local64", "FROM:<" + kLocal64 + "@b.test>", 0, "", kLocal64 + "@b.test"},
        {"Utf8", "FROM:<j\xc3\xbcrgen@b.test> SMTPUTF8", 0, "", "j\xc3\xbcrgen@b.test", 0, false, true},
        {"Local65", "FROM:<" + kLocal65 + "@b.test>", 501, "5.1.7"},
        {"NoPath", "FROM:", 501, "5.5.4"},
        {"NoColon", "FROM", 501, "5.5.4"},
        {"NoBrackets", "FROM:alice@ours.test", 501, "5.5.4"},
        {"To", "TO:<a@b.test>", 501, "5.5.4"},
        {"NoEndBracket", "FROM:<a@b.test", 501, "5.1.7"},
        {"SourceRoute", "FROM:<@a.test:b@c.test>", 501, "5.1.7"},
        {"TwoAddresses", "FROM:<a@b.test><c@d.test>", 501, "5.1.7"},
        {"InvalidUtf8", "FROM:<\xff@ours.test>", 501, "5.1.7"},
        {"Utf8Undeclared", "FROM:<j\xc3\xbcrgen@b.test>", 553, "5.6.7"},
        {"Utf8DomainUndeclared", "FROM:<a@b\xc3\xbc\x63her.test>", 553, "5.6.7"},
        {"UnknownParameter", "FROM:<a@b.test> FOO=1", 555, "5.5.4"},
        {"AuthIsNotOffered", "FROM:<a@b.test> AUTH=<>", 555, "5.5.4"},
        {"RetUnknown", "FROM:<a@b.test> RET=ALL", 501, "5.5.4"},
        {"RetWithoutValue", "FROM:<a@b.test> RET", 501, "5.5.4"},
        {"RetTwice", "FROM:<a@b.test> RET=FULL RET=FULL", 501, "5.5.4"},
        {"EnvidTooLong", "FROM:<a@b.test> ENVID=" + std::string(101, 'x'), 501, "5.5.4"},
        {"EnvidEmpty", "FROM:<a@b.test> ENVID=", 501, "5.5.4"},
        {"EnvidHidesLine", "FROM:<a@b.test> ENVID=a+0D+0Ab", 501, "5.5.4"},
        {"EnvidTwice", "FROM:<a@b.test> ENVID=a ENVID=b", 501, "5.5.4"},
        {"NotifyIsOfRcpt", "FROM:<a@b.test> NOTIFY=NEVER", 555, "5.5.4"},
        {"SizeNegative", "FROM:<a@b.test> SIZE=-1", 501, "5.5.4"},
        {"SizeWithoutValue", "FROM:<a@b.test> SIZE", 501, "5.5.4"},
        {"SizeEmpty", "FROM:<a@b.test> SIZE=", 501, "5.5.4"},
        {"SizeOverflows", "FROM:<a@b.test> SIZE=99999999999999999999", 501, "5.5.4"},
        {"SizeTwice", "FROM:<a@b.test> SIZE=1 SIZE=2", 501, "5.5.4"},
        {"BodyUnknown", "FROM:<a@b.test> BODY=9BIT", 501, "5.5.4"},
        {"BinaryMimeIsNotOffered", "FROM:<a@b.test> BODY=BINARYMIME", 501, "5.5.4"},
        {"BodyWithoutValue", "FROM:<a@b.test> BODY", 501, "5.5.4"},
        {"SmtpUtf8WithValue", "FROM:<a@b.test> SMTPUTF8=1", 501, "5.5.4"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

struct RcptCase {
  const char* name;
  std::string args;
  bool smtputf8;
  int refused;
  std::string recipient;
  std::string original;
};

class RcptArguments : public testing::TestWithParam<RcptCase> {};

TEST_P(RcptArguments, Parse) {
  const RcptCase& c = GetParam();
  const auto parsed = ParseRcpt(c.args, c.smtputf8);
  if (const Reply* refusal = std::get_if<Reply>(&parsed)) {
    EXPECT_EQ(refusal->code, c.refused) << refusal->text;
    return;
  }
  ASSERT_EQ(c.refused, 0);
  EXPECT_EQ(std::get<RcptCommand>(parsed).recipient.ToString(), c.recipient);
  EXPECT_EQ(std::get<RcptCommand>(parsed).original, c.original);
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section41, RcptArguments,
    testing::ValuesIn<RcptCase>({
        {"Plain", "TO:<r@OK.test>", false, 0, "r@ok.test", "r@OK.test"},
        {"BlankAfterColon", "TO: <r@ok.test> ", false, 0, "r@ok.test", "r@ok.test"},
        {"Utf8", "TO:<r@b\xc3\xbc\x63her.test>", true, 0, "r@xn--bcher-kva.test", "r@b\xc3\xbc\x63her.test"},
        {"Literal", "TO:<u@[192.0.2.1]>", false, 0, "u@[192.0.2.1]", "u@[192.0.2.1]"},
        {"PercentIsACharacter", "TO:<v%out.test@mx.ours.test>", false, 0, "v%out.test@mx.ours.test",
         "v%out.test@mx.ours.test"},
        {"Empty", "TO:<>", false, 501},
        {"NoBrackets", "TO:v@out.test", false, 501},
        {"Utf8Undeclared", "TO:<\xc3\xbc@ok.test>", false, 553},
        {"Dsn", "TO:<r@ok.test> NOTIFY=NEVER ORCPT=rfc822;r@ok.test", false, 0, "r@ok.test", "r@ok.test"},
        {"UnknownParameter", "TO:<r@ok.test> FOO=1", false, 555},
        {"RetIsOfMail", "TO:<r@ok.test> RET=FULL", false, 555},
        {"NotifyUnknown", "TO:<r@ok.test> NOTIFY=SOMETIMES", false, 501},
        {"NotifyNeverAndMore", "TO:<r@ok.test> NOTIFY=NEVER,DELAY", false, 501},
        {"NotifyTwice", "TO:<r@ok.test> NOTIFY=DELAY NOTIFY=DELAY", false, 501},
        {"OrcptWithoutType", "TO:<r@ok.test> ORCPT=r@ok.test", false, 501},
        {"OrcptTooLong", "TO:<r@ok.test> ORCPT=rfc822;" + std::string(500, 'x'), false, 501},
        {"OrcptTwice", "TO:<r@ok.test> ORCPT=rfc822;a ORCPT=rfc822;a", false, 501},
        {"OrcptUtf8", "TO:<r@ok.test> ORCPT=utf-8;\xc3\xbc@ok.test", true, 0, "r@ok.test", "r@ok.test"},
        {"OrcptUtf8Undeclared", "TO:<r@ok.test> ORCPT=utf-8;\xc3\xbc@ok.test", false, 553},
        {"SourceRoute", "TO:<@a.test:v@out.test>", false, 501},
        {"TwoAts", "TO:<v@out.test@mx.ours.test>", false, 501},
        {"Port", "TO:<u@ok.test:25>", false, 501},
        {"Slash", "TO:<u@ok.test/..>", false, 501},
        {"ShortIp", "TO:<u@127.1>", false, 501},
        {"NumberIp", "TO:<u@2130706433>", false, 501},
        {"HexLiteral", "TO:<u@[0x7f.1]>", false, 501},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(RcptArguments, OfDsn) {
  const auto parsed = ParseRcpt("TO:<r@ok.test> notify=failure,SUCCESS orcpt=RFC822;Old+2Bx@ok.test", false);
  ASSERT_TRUE(std::holds_alternative<RcptCommand>(parsed));
  EXPECT_EQ(std::get<RcptCommand>(parsed).notify, dsn::kFailure | dsn::kSuccess);
  EXPECT_EQ(std::get<RcptCommand>(parsed).original_recipient, "rfc822;Old+2Bx@ok.test");
}

TEST(RcptArguments, BarePostmaster) {
  const auto parsed = ParseRcpt("TO:<Postmaster>", false);
  ASSERT_TRUE(std::holds_alternative<RcptCommand>(parsed));
  EXPECT_TRUE(std::get<RcptCommand>(parsed).bare_postmaster);
}

struct BdatCase {
  const char* name;
  std::string args;
  int refused;
  std::uint64_t size;
  bool last;
};

class BdatArguments : public testing::TestWithParam<BdatCase> {};

TEST_P(BdatArguments, Parse) {
  const auto parsed = ParseBdat(GetParam().args);
  if (const Reply* refusal = std::get_if<Reply>(&parsed)) {
    EXPECT_EQ(refusal->code, GetParam().refused);
    return;
  }
  ASSERT_EQ(GetParam().refused, 0);
  EXPECT_EQ(std::get<BdatCommand>(parsed).size, GetParam().size);
  EXPECT_EQ(std::get<BdatCommand>(parsed).last, GetParam().last);
}

INSTANTIATE_TEST_SUITE_P(Rfc3030Section2, BdatArguments,
                         testing::ValuesIn<BdatCase>({
                             {"Size", "86", 0, 86, false},
                             {"Last", "0 last", 0, 0, true},
                             {"Largest", "18446744073709551615", 0, UINT64_MAX, false},
                             {"Overflow", "18446744073709551616 LAST", 552, 0, false},
                             {"Nothing", "", 501, 0, false},
                             {"Sign", "+5", 501, 0, false},
                             {"Word", "5 FIRST", 501, 0, false},
                             {"Rest", "5 LAST x", 501, 0, false},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::smtp
