#include "lib/mime/encoding.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace hikyaku::mime {
namespace {

std::string Base64(absl::string_view bytes) {
  std::string out;
  AppendBase64(bytes, &out);
  return out;
}

std::string Quoted(absl::string_view text) {
  std::string out;
  AppendQuotedPrintable(text, &out);
  return out;
}

std::vector<std::string> Lines(absl::string_view text) { return absl::StrSplit(text, "\r\n"); }

TEST(Base64Rfc2045Section68, KnownAnswers) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foo"), "Zm9v");
  EXPECT_EQ(Base64("foob"), "Zm9vYg==");
}

// BATTERY M06: sizes around the line of 57 bytes.
TEST(Base64Rfc2045Section68, LinesOf76AndBackAgainForEverySize) {
  for (std::size_t size = 0; size <= 300; ++size) {
    SCOPED_TRACE(size);
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * 7 + 128));
    const std::string encoded = Base64(bytes);
    EXPECT_EQ(encoded.size(), Base64Size(size));
    EXPECT_EQ(absl::StrReplaceAll(encoded, {{"\r\n", ""}}), absl::Base64Escape(bytes));
    for (const std::string& line : Lines(encoded)) EXPECT_LE(line.size(), 76u);
    EXPECT_FALSE(absl::EndsWith(encoded, "\n"));
    ASSERT_TRUE(DecodeBase64(encoded).ok());
    EXPECT_EQ(*DecodeBase64(encoded), bytes);
  }
}

TEST(Base64Decode, RefusesWhatIsNotExact) {
  for (const char* bad : {"Z", "Zg", "Zg=", "Zg===", "Zm9v=", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v!", "====", "=",
                          "Zm8=v", "Zm9v\xc3\xbc"}) {
    EXPECT_EQ(DecodeBase64(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(QuotedPrintableRfc2045Section67, KnownAnswers) {
  struct Case {
    const char* name;
    std::string text;
    std::string encoded;
  };
  const std::vector<Case> cases = {
      {"Empty", "", ""},
      {"Plain", "hello\r\nworld\r\n", "hello\r\nworld\r\n"},
      {"Equals", "a=b", "a=3Db"},
      {"Utf8", "f\xc3\xbcr", "f=C3=BCr"},
      {"TrailingSpace", "a \r\nb\t", "a=20\r\nb=09"},
      {"InnerBlanksStay", "a \tb", "a \tb"},
      {"LeadingDot", ".\r\n..a", "=2E\r\n=2E.a"},
      {"LeadingFrom", "From x\r\nFrom:\r\n", "=46rom x\r\nFrom:\r\n"},
      {"BareCrAndLf", "a\rb\nc", "a=0Db=0Ac"},
      {"CrBeforeCrlf", "a\r\r\nb", "a=0D\r\nb"},
      {"Nul", std::string("a\0b", 3), "a=00b"},
      {"SoftBreak", std::string(80, 'a'), std::string(75, 'a') + "=\r\naaaaa"},
      {"SoftBreakDoesNotSplitEscapes", std::string(74, 'a') + "\xc3\xbc", std::string(74, 'a') + "=\r\n=C3=BC"},
      {"DotAfterSoftBreak", std::string(75, 'a') + ".b", std::string(75, 'a') + "=\r\n=2Eb"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(Quoted(c.text), c.encoded);
    EXPECT_EQ(*DecodeQuotedPrintable(c.encoded), c.text);
  }
}

TEST(QuotedPrintableRfc2045Section67, AnyBytesComeBackAndNoLineIsRisky) {
  std::mt19937 random(1);
  const std::vector<std::string> pieces = {
      "\r\n", "\r", "\n", " ", "\t", ".", "=", "From ", "\xc3\xbc", "a", "aaaaaaaaaaaaaa", "-- ", std::string(1, '\0')};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = random() % 60; i > 0; --i) text += pieces[random() % pieces.size()];
    const std::string encoded = Quoted(text);
    for (const std::string& line : Lines(encoded)) {
      ASSERT_LE(line.size(), 76u);
      ASSERT_FALSE(absl::StartsWith(line, ".") || absl::StartsWith(line, "From ")) << line;
      ASSERT_FALSE(absl::EndsWith(line, " ") || absl::EndsWith(line, "\t")) << line;
      ASSERT_EQ(line.find_first_of("\r\n"), std::string::npos);
    }
    ASSERT_EQ(*DecodeQuotedPrintable(encoded), text);
  }
}

TEST(QuotedPrintableDecode, FollowsTheRfc) {
  EXPECT_EQ(*DecodeQuotedPrintable("a=c3=BC"), "a\xc3\xbc");
  EXPECT_EQ(*DecodeQuotedPrintable("a  \t\r\nb"), "a\r\nb");
  EXPECT_EQ(*DecodeQuotedPrintable("a= \r\nb"), "ab");
  for (const char* bad : {"a=b", "=4", "=G1", "=1G", "==", "=\n41"}) {
    EXPECT_EQ(DecodeQuotedPrintable(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(ChooseEncodingTest, TakesTheLightestThatIsSafe) {
  struct Case {
    const char* name;
    std::string text;
    Encoding encoding;
  };
  const std::vector<Case> cases = {
      {"Empty", "", Encoding::k7Bit},
      {"Ascii", "hello\r\nworld", Encoding::k7Bit},
      {"LineOf78", std::string(78, 'a') + "\r\n", Encoding::k7Bit},
      {"LineOf79", std::string(79, 'a') + "\r\n", Encoding::kQuotedPrintable},
      {"LineOf1MB", std::string(1'000'000, 'a'), Encoding::kQuotedPrintable},
      {"FromAtLineStart", "a\r\nFrom b", Encoding::kQuotedPrintable},
      {"FromInside", "a From b", Encoding::k7Bit},
      {"Nul", std::string("some text\0", 10), Encoding::kQuotedPrintable},
      {"BareLf", "some text\nmore text", Encoding::kQuotedPrintable},
      {"GermanIsReadable",
       "Viele Gr\xc3\xbc\xc3\x9f"
       "e und bis bald, alles Gute zum Geburtstag",
       Encoding::kQuotedPrintable},
      {"JapaneseIsShort", "\xe9\xa3\x9b\xe8\x84\x9a\xe9\xa3\x9b\xe8\x84\x9a", Encoding::kBase64},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(EncodingName(ChooseEncoding(c.text)), EncodingName(c.encoding));
  }
}

TEST(NormalizeNewlinesTest, EveryKindBecomesCrlf) {
  EXPECT_EQ(NormalizeNewlines("a\nb\rc\r\nd\n\re\r\r\n"), "a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\n");
  EXPECT_EQ(NormalizeNewlines(""), "");
  EXPECT_EQ(NormalizeNewlines("\n.\n"), "\r\n.\r\n");
  EXPECT_EQ(NormalizeNewlines("\r.\r"), "\r\n.\r\n");
}

TEST(FormatDateRfc5322Section33, IsUtcInEnglish) {
  EXPECT_EQ(FormatDate(absl::FromUnixSeconds(1709629687)), "Tue, 05 Mar 2024 09:08:07 +0000");
  EXPECT_EQ(FormatDate(absl::FromUnixMillis(-1)), "Wed, 31 Dec 1969 23:59:59 +0000");
}

}  // namespace
}  // namespace hikyaku::mime
