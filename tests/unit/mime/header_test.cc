#include "lib/mime/header.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hikyaku::mime {
namespace {

using testing::HasSubstr;

std::string Repeat(absl::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) absl::StrAppend(&all, text);
  return all;
}

TEST(HeaderFieldsRfc5322Section22, FieldsAreViewsInOrder) {
  const std::string message = "From: a@x\r\nSubject: one\r\n two\r\n\tthree\r\nX:\r\n\r\nbody: no field\r\n";
  const auto header = HeaderFields::Parse(message);
  ASSERT_TRUE(header.ok()) << header.status();
  ASSERT_EQ(header->fields().size(), 3u);
  EXPECT_EQ(header->fields()[0].name, "From");
  EXPECT_EQ(header->fields()[0].value, " a@x");
  EXPECT_EQ(header->fields()[0].raw, "From: a@x\r\n");
  EXPECT_EQ(header->fields()[1].value, " one\r\n two\r\n\tthree");
  EXPECT_EQ(header->fields()[1].raw, "Subject: one\r\n two\r\n\tthree\r\n");
  EXPECT_EQ(header->fields()[1].Unfolded(), "one two\tthree");
  EXPECT_EQ(header->fields()[2].value, "");
  EXPECT_EQ(header->header(), "From: a@x\r\nSubject: one\r\n two\r\n\tthree\r\nX:\r\n");
  EXPECT_EQ(header->body(), "body: no field\r\n");
}

TEST(HeaderFieldsRfc5322Section22, NamesCompareWithoutCase) {
  const auto header = HeaderFields::Parse("FROM: a@x\r\nfrom: b@x\r\nFromm: c\r\n\r\n");
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->Count("From"), 2u);
  EXPECT_EQ(header->Find("from")->value, " a@x");
  EXPECT_EQ(header->Find("To"), nullptr);
}

TEST(HeaderFieldsRfc5322Section21, TheHeaderEndsAtTheFirstEmptyLineOrTheEnd) {
  struct Case {
    const char* name;
    std::string message;
    std::size_t fields;
    std::string body;
  };
  const std::vector<Case> cases = {
      {"Empty", "", 0, ""},
      {"EmptyLineOnly", "\r\n", 0, ""},
      {"NoHeader", "\r\nbody", 0, "body"},
      {"NoBody", "A: 1\r\nB: 2\r\n", 2, ""},
      {"LastFieldWithoutCrlf", "A: 1\r\nB: 2", 2, ""},
      {"BodyOfOneEmptyLine", "A: 1\r\n\r\n\r\n", 1, "\r\n"},
      {"BlankLineContinues", "A: 1\r\n \r\nB: 2\r\n\r\n", 2, ""},
      {"Utf8InValue", "Subject: \xc3\xbc\r\n\r\n", 1, ""},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto header = HeaderFields::Parse(c.message);
    ASSERT_TRUE(header.ok()) << header.status();
    EXPECT_EQ(header->fields().size(), c.fields);
    EXPECT_EQ(header->body(), c.body);
  }
}

TEST(HeaderFieldsErrors, NameTheLineAndTheReason) {
  struct Case {
    const char* name;
    std::string message;
    const char* says;
  };
  const std::vector<Case> cases = {
      {"NoColon", "A: 1\r\nhello\r\n\r\n", "line 2: has no colon"},
      {"MboxFromLine", "From a@x Mon\r\nA: 1\r\n\r\n", "line 1: has no colon"},
      {"FirstLineContinues", " A: 1\r\n\r\n", "line 1: continues"},
      {"SpaceBeforeColon", "A : 1\r\n\r\n", "field name"},
      {"NameNotAscii", "\xc3\xbc: 1\r\n\r\n", "field name"},
      {"NoName", ": 1\r\n\r\n", "starts with a colon"},
      {"NameTooLong", Repeat("a", 998) + ": 1\r\n\r\n", "too long"},
      {"BareLf", "A: 1\nB: 2\r\n\r\n", "CR or LF"},
      {"BareCr", "A: 1\rB: 2\r\n\r\n", "CR or LF"},
      {"Nul", std::string("A: 1\0\r\n\r\n", 9), "NUL"},
      {"TooManyFields", Repeat("A: 1\r\n", 1001) + "\r\n", "more than 1000 fields"},
      {"TooLargeFolded", "A: 1\r\n" + Repeat(" " + Repeat("x", 70) + "\r\n", 4000) + "\r\n", "longer than 256 KiB"},
      {"TooLargeInOneLine", "A: " + std::string(10'000'000, 'x') + "\r\n\r\n", "longer than 256 KiB"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto header = HeaderFields::Parse(c.message);
    ASSERT_EQ(header.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(header.status().message()), HasSubstr(c.says));
  }
}

TEST(HeaderFieldsErrors, AThousandFieldsAreAllowed) {
  EXPECT_EQ(HeaderFields::Parse(Repeat("A: 1\r\n", 1000) + "\r\n")->fields().size(), 1000u);
}

}  // namespace
}  // namespace hikyaku::mime
