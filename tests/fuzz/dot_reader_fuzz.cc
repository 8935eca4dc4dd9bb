// The end of the data is where RFC 5321 §4.5.2 has it, in whatever pieces the bytes come, and what the dot writer sends
// comes out again as it was.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/check.h"
#include "lib/smtp/dot_reader.h"
#include "lib/smtp/dot_writer.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::fuzz::HasBareLineEnd;
using hikyaku::fuzz::ReadDots;
using hikyaku::smtp::DotReader;
using hikyaku::smtp::DotWriter;
using hikyaku::smtp::FindLineFaults;

void CompareWithOracle(absl::string_view input, std::size_t piece, std::uint64_t max_size) {
  DotReader reader(max_size);
  bool ended = false;
  std::size_t taken = 0;
  for (absl::string_view rest = input; !ended && !rest.empty();) {
    absl::string_view now = rest.substr(0, piece);
    const std::size_t before = now.size();
    ended = reader.Feed(&now);
    HIKYAKU_CHECK(ended || now.empty());
    taken += before - now.size();
    rest.remove_prefix(before - now.size());
  }
  const auto expected = ReadDots(input);
  HIKYAKU_CHECK(ended == expected.has_value());
  if (!ended) return;
  HIKYAKU_CHECK(taken == expected->taken);
  HIKYAKU_CHECK(reader.too_large() == (expected->content.size() > max_size));
  const auto faults = FindLineFaults(input.substr(0, taken));  // A dot that goes makes no fault and mends none.
  HIKYAKU_CHECK(reader.bare_cr() == faults.bare_cr && reader.bare_lf() == faults.bare_lf);
  HIKYAKU_CHECK((faults.bare_cr || faults.bare_lf) == HasBareLineEnd(input.substr(0, taken)));
  if (reader.too_large()) return;
  HIKYAKU_CHECK(reader.nul() == (expected->content.find('\0') != std::string::npos));
  HIKYAKU_CHECK(reader.TakeData() == expected->content);
}

// Any content survives a writer and a reader, but for the CRLF at its end that it must have.
void WriteAndRead(absl::string_view head, absl::string_view body, std::size_t limit, bool hold_end) {
  DotWriter writer(head, body, DotWriter::Mode::kDots);
  if (hold_end) writer.HoldEnd();
  std::string wire;
  for (bool last = false; !last;) {
    std::vector<absl::string_view> pieces;
    last = writer.Next(limit, &pieces);
    HIKYAKU_CHECK(pieces.size() <= DotWriter::kMaxPieces && !pieces.empty());
    for (const absl::string_view piece : pieces) wire.append(piece.data(), piece.size());
  }
  DotReader reader(wire.size());
  absl::string_view rest = wire;
  HIKYAKU_CHECK(reader.Feed(&rest) && rest.empty());
  std::string content = std::string(head) + std::string(body);
  if (!content.empty() && !absl::EndsWith(content, "\r\n")) content += "\r\n";
  HIKYAKU_CHECK(reader.TakeData() == content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.Byte();
  const std::uint64_t max_size = input.Flag() ? 64 : 1 << 20;
  const absl::string_view text = input.rest();
  CompareWithOracle(text, piece, max_size);
  CompareWithOracle(text, text.size() + 1, max_size);
  WriteAndRead(text.substr(0, piece), text.substr(std::min(piece, text.size())), piece, max_size == 64);
  return 0;
}
