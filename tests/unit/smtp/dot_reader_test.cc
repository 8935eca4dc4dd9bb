#include "lib/smtp/dot_reader.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace hikyaku::smtp {
namespace {

struct Read {
  bool ended = false;
  std::size_t consumed = 0;
  std::string data;
  bool bare_cr = false, bare_lf = false, nul = false;
  bool operator==(const Read&) const = default;
};

// The oracle: RFC 5321 §4.1.1.4 and §4.5.2 as plainly as they can be said.
Read Reference(const std::string& in) {
  std::size_t end = in.compare(0, 3, ".\r\n") == 0 ? 0 : in.find("\r\n.\r\n");
  if (end == std::string::npos) return {};
  if (end != 0 || in[0] == '\r') end += 2;
  Read read{true, end + 3};
  for (std::size_t i = 0; i < end; ++i) {
    const bool line_start = i == 0 || (i >= 2 && in.compare(i - 2, 2, "\r\n") == 0);
    if (!(line_start && in[i] == '.')) read.data += in[i];
    read.bare_cr |= in[i] == '\r' && in[i + 1] != '\n';
    read.bare_lf |= in[i] == '\n' && (i == 0 || in[i - 1] != '\r');
    read.nul |= in[i] == '\0';
  }
  return read;
}

// Feeds `in` in pieces: first `first` octets, then `step` at a time.
Read Feed(absl::string_view in, std::size_t first, std::size_t step) {
  DotReader reader(1000);
  Read read;
  for (std::size_t at = 0, size = first; at < in.size() && !read.ended; at += size, size = step) {
    absl::string_view piece = in.substr(at, size);
    const std::size_t offered = piece.size();
    read.ended = reader.Feed(&piece);
    read.consumed += offered - piece.size();
  }
  if (!read.ended) return {};
  read.bare_cr = reader.bare_cr();
  read.bare_lf = reader.bare_lf();
  read.nul = reader.nul();
  read.data = reader.TakeData();
  return read;
}

// BATTERY S03. Each string is followed by a true end, so that its content is compared also when it holds no end.
TEST(DotReader, EveryStringUpToLengthTenEndsWhereTheReferenceSays) {
  constexpr char kAlphabet[] = {'\r', '\n', '.', 'a', '\0'};
  constexpr std::size_t kLongest = 10;
  std::size_t strings = 0, failures = 0;
  for (std::size_t length = 0; length <= kLongest; ++length) {
    std::vector<std::size_t> digits(length, 0);
    std::string text(length, kAlphabet[0]);
    text += "\r\n.\r\n";
    for (bool more = true; more; ++strings) {
      const Read expected = Reference(text);
      const std::size_t split = 1 + strings % text.size();
      if (Feed(text, text.size(), 1) != expected || Feed(text, split, text.size()) != expected ||
          Feed(text, 1, 1) != expected) {
        if (++failures < 10) ADD_FAILURE() << testing::PrintToString(text);
      }
      more = false;
      for (std::size_t i = 0; i < length && !more; ++i) {
        more = ++digits[i] < sizeof(kAlphabet);
        if (!more) digits[i] = 0;
        text[i] = kAlphabet[digits[i]];
      }
    }
  }
  EXPECT_EQ(strings, 12'207'031u);
  EXPECT_EQ(failures, 0u);
}

TEST(DotReader, KeepsWhatFollowsTheEnd) {
  DotReader reader(100);
  absl::string_view in = "a\r\n.\r\nNOOP\r\n";
  ASSERT_TRUE(reader.Feed(&in));
  EXPECT_EQ(in, "NOOP\r\n");
  EXPECT_EQ(reader.TakeData(), "a\r\n");
}

TEST(DotReader, ReadsPastTheLimitToTheEnd) {
  DotReader reader(10);
  absl::string_view in = "0123456789\r\n..\r\n";
  EXPECT_FALSE(reader.Feed(&in));
  EXPECT_TRUE(reader.too_large());
  for (int i = 0; i < 1000; ++i) {
    in = "0123456789\r\n";
    EXPECT_FALSE(reader.Feed(&in));
  }
  in = ".\r\nQUIT\r\n";
  EXPECT_TRUE(reader.Feed(&in));
  EXPECT_EQ(in, "QUIT\r\n");
  EXPECT_LT(reader.TakeData().capacity(), 100u);
}

TEST(DotReader, TheLimitCountsContentOnly) {
  DotReader reader(4);
  absl::string_view in = "..a\r\n.\r\n";  // ".a" CRLF: four octets.
  ASSERT_TRUE(reader.Feed(&in));
  EXPECT_FALSE(reader.too_large());
  EXPECT_EQ(reader.TakeData(), ".a\r\n");
}

// A line of CRs, or of LFs, must not make the reader slow: this would take minutes if it were quadratic.
TEST(DotReader, HostileLinesCostNoMoreThanOthers) {
  for (const char* unit : {"\r", "\n", "\r.", "\r\n.\r\r\n..", "."}) {
    std::string text;
    while (text.size() < 8'000'000) text += unit;
    DotReader reader(16'000'000);
    absl::string_view in = text;
    EXPECT_FALSE(reader.Feed(&in));
  }
}

struct FaultCase {
  const char* name;
  std::string data;
  bool bare_cr, bare_lf, nul;
};

class LineFaultsOf : public testing::TestWithParam<FaultCase> {};

TEST_P(LineFaultsOf, AreFound) {
  const LineFaults faults = FindLineFaults(GetParam().data);
  EXPECT_EQ(faults.bare_cr, GetParam().bare_cr);
  EXPECT_EQ(faults.bare_lf, GetParam().bare_lf);
  EXPECT_EQ(faults.nul, GetParam().nul);
}

INSTANTIATE_TEST_SUITE_P(Text, LineFaultsOf,
                         testing::ValuesIn<FaultCase>({
                             {"Empty", "", false, false, false},
                             {"CleanLines", "a\r\n\r\nb\r\n", false, false, false},
                             {"NoLineEnd", "a", false, false, false},
                             {"BareLf", "a\r\nb\nc\r\n", false, true, false},
                             {"LfFirst", "\na\r\n", false, true, false},
                             {"CrLast", "a\r\nb\r", true, false, false},
                             {"CrInside", "a\rb\r\n", true, false, false},
                             {"TwoCr", "a\r\r\n", true, false, false},
                             {"CrThenBareLf", "a\rb\n", true, true, false},
                             {"LfThenCr", "a\n\rb\r\n", true, true, false},
                             {"Nul", std::string("a\0b", 3), false, false, true},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hikyaku::smtp
