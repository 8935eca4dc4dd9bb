#include "lib/smtp/reply.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace hikyaku::smtp {
namespace {

using Result = ReplyParser::Result;

std::string Repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

struct FormatCase {
  const char* name;
  Reply reply;
  std::string wire;
};

class ReplyFormat : public testing::TestWithParam<FormatCase> {};

TEST_P(ReplyFormat, Writes) { EXPECT_EQ(FormatReply(GetParam().reply), GetParam().wire); }

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section42, ReplyFormat,
    testing::ValuesIn<FormatCase>({
        {"OneLine", {250, "2.1.0", "OK"}, "250 2.1.0 OK\r\n"},
        {"NoEnhancedCode", {220, "", "mx ESMTP"}, "220 mx ESMTP\r\n"},
        {"ManyLines", {250, "", "mx\nSIZE 1\nPIPELINING"}, "250-mx\r\n250-SIZE 1\r\n250 PIPELINING\r\n"},
        {"EnhancedCodeOnEachLine", {550, "5.7.1", "no\nreally"}, "550-5.7.1 no\r\n550 5.7.1 really\r\n"},
        {"NoText", {250, "", ""}, "250\r\n"},
        {"ControlsCannotSplitIt", {550, "5.1.1", "a\rb\tc\x7f"}, "550 5.1.1 a?b?c?\r\n"},
        {"LongLineIsCut", {550, "", std::string(1000, 'x')}, "550 " + std::string(506, 'x') + "\r\n"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

struct ParseCase {
  const char* name;
  std::string wire;
  Result result;
  Reply reply;  // When kOk.
};

class ReplyParsing : public testing::TestWithParam<ParseCase> {};

TEST_P(ReplyParsing, WholeInput) {
  ReplyParser parser;
  absl::string_view in = GetParam().wire;
  ASSERT_EQ(parser.Take(&in), GetParam().result) << parser.error();
  if (GetParam().result == Result::kOk) {
    EXPECT_EQ(parser.reply(), GetParam().reply) << parser.reply().text;
  }
  if (GetParam().result == Result::kMalformed) {
    EXPECT_FALSE(parser.error().empty());
    EXPECT_EQ(parser.error(), Printable(parser.error(), 1000));
    EXPECT_LT(parser.error().size(), 200u);
  }
}

TEST_P(ReplyParsing, OctetByOctet) {
  ReplyParser parser;
  Result result = Result::kNeedMore;
  for (char c : GetParam().wire) {
    absl::string_view in(&c, 1);
    result = parser.Take(&in);
    if (result != Result::kNeedMore) break;
  }
  ASSERT_EQ(result, GetParam().result);
  if (result == Result::kOk) {
    EXPECT_EQ(parser.reply(), GetParam().reply);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section42, ReplyParsing,
    testing::ValuesIn<ParseCase>({
        {"OneLine", "250 OK\r\n", Result::kOk, {250, "", "OK"}},
        {"CodeAlone", "250\r\n", Result::kOk, {250, "", ""}},
        {"CodeAndBlank", "250 \r\n", Result::kOk, {250, "", ""}},
        {"LfAloneEndsTheLine", "250 OK\n", Result::kOk, {250, "", "OK"}},
        {"EnhancedCode", "550 5.1.1 unknown\r\n", Result::kOk, {550, "5.1.1", "unknown"}},
        {"EnhancedCodeAlone", "550 5.1.1\r\n", Result::kOk, {550, "5.1.1", ""}},
        {"LongEnhancedCode", "550 5.123.456 x\r\n", Result::kOk, {550, "5.123.456", "x"}},
        {"ContradictingClassStaysText", "550 4.2.0 x\r\n", Result::kOk, {550, "", "4.2.0 x"}},
        {"VersionIsNoEnhancedCode", "220 2.0 mail\r\n", Result::kOk, {220, "", "2.0 mail"}},
        {"IpAddressIsNoEnhancedCode", "250 2.0.0.1 hello\r\n", Result::kOk, {250, "", "2.0.0.1 hello"}},
        {"FourDigitsAreNoEnhancedCode", "550 5.1.1234 x\r\n", Result::kOk, {550, "", "5.1.1234 x"}},
        {"ManyLines", "250-mx\r\n250-SIZE 1\r\n250 HELP\r\n", Result::kOk, {250, "", "mx\nSIZE 1\nHELP"}},
        {"EnhancedOnEachLine", "550-5.7.1 a\r\n550 5.7.1 b\r\n", Result::kOk, {550, "5.7.1", "a\nb"}},
        {"Utf8IsKept", "550 k\xc3\xbc\x63he\r\n", Result::kOk, {550, "", "k\xc3\xbc\x63he"}},
        {"ControlsAreReplaced", std::string("550 a\0b\x1b[2J\xff\r\n", 14), Result::kOk, {550, "", "a?b?[2J?"}},
        {"CrInTheTextIsReplaced", "550 a\rb\r\n", Result::kOk, {550, "", "a?b"}},
        {"Unfinished", "250-mx\r\n250", Result::kNeedMore, {}},
        {"CodesDiffer", "250-mx\r\n550 no\r\n", Result::kMalformed, {}},
        {"Code199", "199 x\r\n", Result::kMalformed, {}},
        {"Code600", "600 x\r\n", Result::kMalformed, {}},
        {"Code999", "999 x\r\n", Result::kMalformed, {}},
        {"TwoDigits", "25 x\r\n", Result::kMalformed, {}},
        {"FourDigits", "2500 x\r\n", Result::kMalformed, {}},
        {"EmptyLine", "\r\n", Result::kMalformed, {}},
        {"Http", "HTTP/1.1 400 Bad Request\r\n", Result::kMalformed, {}},
        {"LongestLine", "250 " + std::string(2042, 'x') + "\r\n", Result::kOk, {250, "", std::string(2042, 'x')}},
        {"LongerLineIsCut", "250 " + std::string(100'000, 'x') + "\r\n", Result::kOk, {250, "", std::string(2044, 'x')}},
        {"LineWithoutEnd", "250 " + std::string(1 << 20, 'x'), Result::kMalformed, {}},
        {"HundredLines", Repeat("250-x\r\n", 99) + "250 x\r\n", Result::kOk, {250, "", Repeat("x\n", 99) + "x"}},
        {"LinesBeyondTheHundredth", Repeat("550-x\r\n", 5000) + "550 y\r\n", Result::kOk, {550, "", Repeat("x\n", 99) + "x"}},
        {"AnotherCodeBeyondIt", Repeat("550-x\r\n", 5000) + "250 y\r\n", Result::kMalformed, {}},
        {"EndlessContinuation", Repeat("250-x\r\n", 100'000), Result::kMalformed, {}},
        {"ManyOctetsAreCut",
         Repeat("250-" + std::string(2000, 'x') + "\r\n", 99) + "250 y\r\n",
         Result::kOk,
         {250, "", Repeat(std::string(2000, 'x') + "\n", 8) + "y"}},
        {"TooManyOctets", Repeat("250-" + std::string(2000, 'x') + "\r\n", 140), Result::kMalformed, {}},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ReplyParser, TakesOneReplyAtATime) {
  ReplyParser parser;
  absl::string_view in = "250 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n354 d";
  ASSERT_EQ(parser.Take(&in), Result::kOk);
  EXPECT_EQ(parser.reply(), (Reply{250, "", "a"}));
  EXPECT_FALSE(parser.InsideReply());
  ASSERT_EQ(parser.Take(&in), Result::kOk);
  EXPECT_EQ(parser.reply(), (Reply{550, "5.1.1", "b\nc"}));
  ASSERT_EQ(parser.Take(&in), Result::kNeedMore);
  EXPECT_TRUE(parser.InsideReply());
  in = "\r\n";
  ASSERT_EQ(parser.Take(&in), Result::kOk);
  EXPECT_EQ(parser.reply(), (Reply{354, "", "d"}));
}

TEST(Reply, ToStringIsOneLine) {
  EXPECT_EQ((Reply{550, "5.7.1", "a\nb"}).ToString(), "550 5.7.1 a / b");
  EXPECT_EQ((Reply{421, "", ""}).ToString(), "421");
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(Printable("ab\xc3\xbc", 3), "ab");
  EXPECT_EQ(Printable("a\xc2\x85z", 10), "a?z");  // NEL, a C1 control.
}

}  // namespace
}  // namespace hikyaku::smtp
