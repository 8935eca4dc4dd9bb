#include "lib/base/utf8.h"

#include <string>

#include "gtest/gtest.h"

namespace hikyaku {
namespace {

TEST(TakeUtf8, DecodesTheEdgesOfEachLength) {
  const struct {
    const char* text;
    char32_t value;
  } kCases[] = {
      {"\x7f", 0x7F},           {"\xc2\x80", 0x80},       {"\xdf\xbf", 0x7FF},           {"\xe0\xa0\x80", 0x800},
      {"\xed\x9f\xbf", 0xD7FF}, {"\xee\x80\x80", 0xE000}, {"\xf0\x90\x80\x80", 0x10000}, {"\xf4\x8f\xbf\xbf", 0x10FFFF},
  };
  for (const auto& c : kCases) {
    const std::string input = std::string(c.text) + "z";
    absl::string_view text = input;
    EXPECT_EQ(TakeUtf8(text), c.value) << std::hex << static_cast<unsigned>(c.value);
    EXPECT_EQ(text, "z");
  }
}

TEST(TakeUtf8, TakesOneByteOfWhatIsNoCharacter) {
  for (const char* bad : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xc3", "\xc3z", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
                          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"}) {
    absl::string_view text = bad;
    const std::size_t before = text.size();
    EXPECT_EQ(TakeUtf8(text), std::nullopt) << before;
    EXPECT_EQ(text.size(), before - 1);
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

TEST(IsValidUtf8, TakesEveryText) {
  EXPECT_TRUE(IsValidUtf8(""));
  EXPECT_TRUE(IsValidUtf8(absl::string_view("a\0b", 3)));
  EXPECT_TRUE(IsValidUtf8("飛脚 ü"));
  EXPECT_FALSE(IsValidUtf8("飛脚 \xfc"));
}

TEST(CutUtf8, CutsBetweenCharacters) {
  const absl::string_view text = "a\xc3\xbc\xe2\x82\xac";  // 1, 2 and 3 bytes.
  const std::size_t ends[] = {0, 1, 1, 3, 3, 3, 6, 6};
  for (std::size_t limit = 0; limit < std::size(ends); ++limit) {
    EXPECT_EQ(CutUtf8(text, limit), text.substr(0, ends[limit])) << limit;
  }
}

}  // namespace
}  // namespace hikyaku
