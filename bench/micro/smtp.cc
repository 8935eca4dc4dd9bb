// The SMTP parsers and the writer of content.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "benchmark/benchmark.h"
#include "lib/smtp/command.h"
#include "lib/smtp/dot_reader.h"
#include "lib/smtp/dot_writer.h"

namespace hikyaku::smtp {
namespace {

constexpr std::size_t kRead = 16 << 10;  // Octets that come from a socket at once.

// Lines of mail as people and programs write it, every tenth with a dot in front (before stuffing).
std::string Content(std::size_t size) {
  std::string content;
  for (int line = 0; content.size() < size; ++line) {
    absl::StrAppend(&content, line % 10 == 9 ? "." : "", "The quick brown fox jumps over the lazy dog, line ", line,
                    "\r\n");
  }
  return content;
}

std::string Stuffed(absl::string_view content) {
  std::string stuffed;
  DotWriter writer(content, "", DotWriter::Mode::kDots);
  std::vector<absl::string_view> pieces;
  while (!writer.Next(kRead, &pieces)) continue;
  for (const absl::string_view piece : pieces) absl::StrAppend(&stuffed, piece);
  return stuffed;
}

void ReadDots(benchmark::State& state) {
  const std::string wire = Stuffed(Content(state.range(0)));
  for (auto _ : state) {
    DotReader reader(25 << 20);
    absl::string_view rest = wire;
    bool over = false;
    while (!over) {
      absl::string_view part = rest.substr(0, kRead);
      rest.remove_prefix(part.size());
      over = reader.Feed(&part);
    }
    benchmark::DoNotOptimize(reader.TakeData());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(wire.size()));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ReadDots)->Arg(4 << 10)->Arg(50 << 10);

// Nothing but dots: the most that a hostile client can ask for.
void ReadOnlyDots(benchmark::State& state) {
  std::string content;
  while (content.size() < 50 << 10) content += ".\r\n";
  const std::string wire = Stuffed(content);
  for (auto _ : state) {
    DotReader reader(25 << 20);
    absl::string_view in = wire;
    benchmark::DoNotOptimize(reader.Feed(&in));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(wire.size()));
}
BENCHMARK(ReadOnlyDots);

void WriteDots(benchmark::State& state) {
  const std::string content = Content(state.range(0));
  std::vector<absl::string_view> pieces;
  for (auto _ : state) {
    DotWriter writer("Received: from a by b\r\n", content, DotWriter::Mode::kDots);
    bool over = false;
    while (!over) {
      pieces.clear();
      over = writer.Next(64 << 10, &pieces);
      benchmark::DoNotOptimize(pieces.data());
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(content.size()));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(WriteDots)->Arg(4 << 10)->Arg(50 << 10);

void FindFaults(benchmark::State& state) {
  const std::string content = Content(50 << 10);
  for (auto _ : state) benchmark::DoNotOptimize(FindLineFaults(content));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(content.size()));
}
BENCHMARK(FindFaults);

void ParseMailLine(benchmark::State& state) {
  constexpr absl::string_view kLine = "MAIL FROM:<bounces+12345@mail.sender.example.org> SIZE=4096 BODY=8BITMIME";
  for (auto _ : state) benchmark::DoNotOptimize(ParseMail(ParseCommand(kLine).args));
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kLine.size()));
}
BENCHMARK(ParseMailLine);

void ParseRcptLine(benchmark::State& state) {
  constexpr absl::string_view kLine = "RCPT TO:<first.last@department.example.net>";
  for (auto _ : state) benchmark::DoNotOptimize(ParseRcpt(ParseCommand(kLine).args, false));
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kLine.size()));
}
BENCHMARK(ParseRcptLine);

void ParseShortCommands(benchmark::State& state) {
  constexpr absl::string_view kLines[] = {"EHLO client.example.org", "DATA", "RSET", "NOOP", "QUIT", "XYZZY"};
  for (auto _ : state) {
    for (const absl::string_view line : kLines) benchmark::DoNotOptimize(ParseCommand(line));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(std::size(kLines)));
}
BENCHMARK(ParseShortCommands);

}  // namespace
}  // namespace hikyaku::smtp
