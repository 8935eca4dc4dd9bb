#include "lib/outcome/enhanced_code.h"

#include "gtest/gtest.h"

namespace hikyaku::outcome {
namespace {

TEST(EnhancedCodeText, IsReadWhole) {
  EXPECT_EQ(ParseEnhancedCode("5.1.1"), (EnhancedCode{5, 1, 1}));
  EXPECT_EQ(ParseEnhancedCode("4.7.650"), (EnhancedCode{4, 7, 650}));
  EXPECT_EQ(ParseEnhancedCode("2.0.0"), (EnhancedCode{2, 0, 0}));
  for (const char* text : {"", "5", "5.", "5.1", "5.1.", "3.1.1", "1.1.1", "55.1.1", "5.1.1 x", "5.1.1.1", "5.1.1000",
                           "5.-1.1", " 5.1.1", "5. 1.1", "a.b.c"}) {
    EXPECT_EQ(ParseEnhancedCode(text), std::nullopt) << text;
  }
}

TEST(EnhancedCodeText, IsWritten) {
  EXPECT_EQ((EnhancedCode{5, 7, 26}).ToString(), "5.7.26");
  EXPECT_EQ(EnhancedCode().ToString(), "");
  EXPECT_FALSE(EnhancedCode());
}

struct Row {
  const char* name;
  int smtp_code;
  const char* text;
  const char* code;  // "" when there is none.
  const char* rest;
};

class ReplyText : public testing::TestWithParam<Row> {};

TEST_P(ReplyText, GivesItsCode) {
  absl::string_view text = GetParam().text;
  const std::optional<EnhancedCode> code = TakeEnhancedCode(text, GetParam().smtp_code);
  EXPECT_EQ(code.value_or(EnhancedCode()).ToString(), GetParam().code);
  EXPECT_EQ(text, GetParam().rest);
}

INSTANTIATE_TEST_SUITE_P(Rfc2034, ReplyText,
                         testing::ValuesIn<Row>({
                             {"WithText", 550, "5.1.1 no such user", "5.1.1", "no such user"},
                             {"Alone", 250, "2.0.0", "2.0.0", ""},
                             {"None", 550, "no such user", "", "no such user"},
                             {"D07PermanentCodeInTransientReply", 450, "5.1.1 x", "", "5.1.1 x"},
                             {"D07TransientCodeInPermanentReply", 550, "4.2.0 x", "", "4.2.0 x"},
                             {"GluedToText", 550, "5.1.1<v@ok.test>", "", "5.1.1<v@ok.test>"},
                             {"AnIpAddress", 550, "5.9.1.2 is blocked", "", "5.9.1.2 is blocked"},
                             {"AVersion", 250, "2.0.1-beta ready", "", "2.0.1-beta ready"},
                             {"NoReply", 0, "5.1.1 x", "", "5.1.1 x"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::outcome
