#include "lib/base/log.h"

#include <string>

#include "gtest/gtest.h"

namespace hikyaku::log {
namespace {

struct EscapeCase {
  const char* name;
  std::string text;
  std::string json;
};

class EscapeJsonTest : public testing::TestWithParam<EscapeCase> {};

TEST_P(EscapeJsonTest, Escapes) { EXPECT_EQ(EscapeJson(GetParam().text), GetParam().json); }

INSTANTIATE_TEST_SUITE_P(HostileText, EscapeJsonTest,
                         testing::ValuesIn<EscapeCase>({
                             {"PlainTextStays", "250 2.0.0 ok", "250 2.0.0 ok"},
                             {"QuotesAndBackslashes", "a\"b\\c", "a\\\"b\\\\c"},
                             {"NewlineForgesNoLine", "a\r\nb", "a\\u000d\\u000ab"},
                             {"EscapeDrivesNoTerminal", "\x1b[2J", "\\u001b[2J"},
                             {"C1ControlDrivesNoTerminal", "\xc2\x9b", "\\u009b"},
                             {"NulIsNoEnd", std::string("a\0b", 3), "a\\u0000b"},
                             {"Utf8Stays",
                              "b\xc3\xbc"
                              "cher",
                              "b\xc3\xbc"
                              "cher"},
                             {"BrokenUtf8IsEscaped", "\xff\xc3", "\\u00ff\\u00c3"},
                             {"LineSeparatorIsEscaped", "\xe2\x80\xa8", "\\u2028"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Field, CutsWhatIsTooLong) {
  const Field field("text", std::string(5000, 'x'));
  EXPECT_EQ(field.json.size(), kMaxValue + 2);
}

}  // namespace
}  // namespace hikyaku::log
