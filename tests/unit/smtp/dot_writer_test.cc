#include "lib/smtp/dot_writer.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/smtp/dot_reader.h"

namespace hikyaku::smtp {
namespace {

std::string Written(absl::string_view head, absl::string_view body, DotWriter::Mode mode, std::size_t limit) {
  DotWriter writer(head, body, mode);
  std::string out;
  for (bool last = false; !last;) {
    std::vector<absl::string_view> pieces;
    last = writer.Next(limit, &pieces);
    EXPECT_LE(pieces.size(), DotWriter::kMaxPieces);
    for (absl::string_view piece : pieces) out.append(piece.data(), piece.size());
  }
  return out;
}

struct WriteCase {
  const char* name;
  std::string head, body, wire;
};

class DotWriterOutput : public testing::TestWithParam<WriteCase> {};

TEST_P(DotWriterOutput, IsTheSameInBlocksOfEverySize) {
  const WriteCase& c = GetParam();
  for (std::size_t limit : {1, 2, 3, 5, 7, 1000}) {
    EXPECT_EQ(Written(c.head, c.body, DotWriter::Mode::kDots, limit), c.wire) << limit;
  }
}

INSTANTIATE_TEST_SUITE_P(Rfc5321Section452, DotWriterOutput,
                         testing::ValuesIn<WriteCase>({
                             {"Empty", "", "", ".\r\n"},
                             {"PlainLines", "A: b\r\n", "\r\ntext\r\n", "A: b\r\n\r\ntext\r\n.\r\n"},
                             {"MissingLastLineEnd", "A: b\r\n\r\n", "text", "A: b\r\n\r\ntext\r\n.\r\n"},
                             {"DotAtTheStart", ".a\r\n", "", "..a\r\n.\r\n"},
                             {"DotAlone", "", ".\r\n", "..\r\n.\r\n"},
                             {"TwoDots", "", "..\r\n", "...\r\n.\r\n"},
                             {"DotAtTheStartOfTheBody", "a\r\n", ".b\r\n", "a\r\n..b\r\n.\r\n"},
                             {"LineEndAcrossThePieces", "a\r", "\n.b\r\n", "a\r\n..b\r\n.\r\n"},
                             {"NoLineStartAtThePiece", "a", ".b\r\n", "a.b\r\n.\r\n"},
                             {"DotsWithin", "a.b\r\nc.\r\n", "", "a.b\r\nc.\r\n.\r\n"},
                             {"ManyDotLines", ".\r\n.\r\n", ".\r\n", "..\r\n..\r\n..\r\n.\r\n"},
                             {"BareLfIsNoLineEnd", "a\n.b\r\n", "", "a\n.b\r\n.\r\n"},
                             {"LastLfAlone", "a\r", "\n", "a\r\n.\r\n"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DotWriter, EveryShortStringComesBackFromTheReader) {
  const std::string alphabet = "\r\n.a";
  for (std::size_t number = 0; number < 4096 * 4; ++number) {
    std::string text;
    for (std::size_t n = number, i = 0; i < 7; ++i, n /= 4) text += alphabet[n % 4];
    const absl::string_view all = text;
    const std::size_t split = number % 8;
    const std::string wire = Written(all.substr(0, split), all.substr(split), DotWriter::Mode::kDots, 1 + number % 9);
    DotReader reader(100);
    absl::string_view in = wire;
    ASSERT_TRUE(reader.Feed(&in)) << testing::PrintToString(text);
    EXPECT_EQ(in, "");
    const std::string back = reader.TakeData();
    EXPECT_EQ(back, absl::EndsWith(text, "\r\n") ? text : text + "\r\n");
  }
}

TEST(DotWriter, RawIsVerbatimAndCounted) {
  for (const std::string body : {"", ".\r\n", "a\r\n.b\r\n", "no end"}) {
    const DotWriter writer("H: 1\r\n", body, DotWriter::Mode::kRaw);
    const std::string wire = Written("H: 1\r\n", body, DotWriter::Mode::kRaw, 3);
    EXPECT_EQ(wire, "H: 1\r\n" + body + (body == "no end" ? "\r\n" : ""));
    EXPECT_EQ(writer.raw_size(), wire.size());
  }
  EXPECT_EQ(DotWriter("", "", DotWriter::Mode::kRaw).raw_size(), 0u);
}

TEST(DotWriter, HeldEndComesAloneAndTheWireIsTheSame) {
  const std::string contents[] = {"a\r\n", "no end", ".\r\n", "a\r\n.\r\n", "\r\n", "\r\n\r\n.a\r\n", "a\r", "a\n", ""};
  for (const std::string& content : contents) {
    for (const auto mode : {DotWriter::Mode::kDots, DotWriter::Mode::kRaw}) {
      for (std::size_t split = 0; split <= content.size(); ++split) {
        const absl::string_view all = content;
        DotWriter writer(all.substr(0, split), all.substr(split), mode);
        const std::size_t size = writer.raw_size();
        writer.HoldEnd();
        EXPECT_EQ(writer.raw_size(), size);
        std::string wire, end;
        for (bool last = false; !last; wire += end) {
          std::vector<absl::string_view> pieces;
          last = writer.Next(3, &pieces);
          end.clear();
          for (absl::string_view piece : pieces) end.append(piece.data(), piece.size());
        }
        EXPECT_EQ(wire, Written(content, "", mode, 1000)) << testing::PrintToString(content);
        const std::string dot = mode == DotWriter::Mode::kDots ? ".\r\n" : "";
        EXPECT_EQ(end, content.empty() ? dot : "\r\n" + dot) << testing::PrintToString(content);
      }
    }
  }
}

TEST(DotWriter, ContentIsNotCopied) {
  const std::string body(100'000, 'x');
  DotWriter writer("", body, DotWriter::Mode::kDots);
  std::vector<absl::string_view> pieces;
  ASSERT_FALSE(writer.Next(65'536, &pieces));
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].data(), body.data());
  EXPECT_EQ(pieces[0].size(), 65'536u);
}

TEST(DotWriter, AMillionDotLinesNeedFewPiecesAtATime) {
  std::string body;
  for (int i = 0; i < 1'000'000; ++i) body += ".\r\n";
  EXPECT_EQ(Written("", body, DotWriter::Mode::kDots, 1 << 18).size(), 4'000'000u + 3);
}

}  // namespace
}  // namespace hikyaku::smtp
