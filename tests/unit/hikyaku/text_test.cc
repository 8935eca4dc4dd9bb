#include "services/hikyaku/text.h"

#include <gtest/gtest.h>

namespace hikyaku::cli {
namespace {

TEST(Printable, LeavesTextOfEveryScript) {
  EXPECT_EQ(Printable("plain, ünïcode, 飛脚"), "plain, ünïcode, 飛脚");
  EXPECT_EQ(Printable(""), "");
}

TEST(Printable, ShowsWhatCouldDriveATerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb"), "a\\x1b[2Jb");
  EXPECT_EQ(Printable("a\r\nb\tc"), "a\\x0d\\x0ab\\x09c");
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Printable("\x7f"), "\\x7f");
  EXPECT_EQ(Printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\u{9b}");  // C1: CSI in one character.
  EXPECT_EQ(Printable("a\xe2\x80\xae"
                      "b"),
            "a\\u{202e}b");  // Right-to-left override.
}

TEST(Printable, CutsLongText) { EXPECT_EQ(Printable(std::string(2000, 'x'), 5), "xxxxx…"); }

TEST(Table, AlignsWordsLeftAndNumbersRight) {
  Table table({"DOMAIN", "READY", "STATE"});
  EXPECT_TRUE(table.empty());
  table.Add({"a.test", "5", "up"});
  table.Add({"bücher.test", "1000", "do\nwn"});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.ToString(),
            "DOMAIN       READY  STATE\n"
            "a.test           5  up\n"
            "bücher.test   1000  do\\x0awn\n");
}

TEST(Times, AreShort) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  EXPECT_EQ(TimeText(now), "2023-11-14 22:13:20Z");
  EXPECT_EQ(FormatRelative(now, now), "now");
  EXPECT_EQ(FormatRelative(now + absl::Seconds(270), now), "in 4m30s");
  EXPECT_EQ(FormatRelative(now - absl::Hours(50), now), "2d2h ago");
  EXPECT_EQ(FormatSpan(absl::Milliseconds(450)), "450ms");
  EXPECT_EQ(FormatSpan(absl::Seconds(59)), "59s");
  EXPECT_EQ(FormatSpan(absl::Hours(1)), "1h");
  EXPECT_EQ(FormatSpan(absl::Hours(24) + absl::Seconds(5)), "1d");
}

}  // namespace
}  // namespace hikyaku::cli
