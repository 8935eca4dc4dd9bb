// From an API request to RFC 5322 bytes, and the check of bytes that arrive whole.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "lib/mime/builder.h"
#include "lib/mime/submitted.h"

namespace hikyaku::mime {
namespace {

std::string Lines(std::size_t size) {
  std::string text;
  for (int line = 0; text.size() < size; ++line)
    absl::StrAppend(&text, "The quick brown fox jumps over the lazy dog, ", line, "\n");
  return text;
}

MessageParts Parts() {
  MessageParts parts;
  parts.from = {"Shop", "orders@shop.example.org"};
  parts.to = {{"Zoë Müller", "zoe@example.net"}};
  parts.subject = "Your order 12345 is on its way";
  parts.headers = {{"X-Order", "12345"}};
  parts.date = absl::FromUnixSeconds(1'767'225'600);
  parts.message_id = "<01jdn5w3k8v4x2c7r9tq6m1b0z@shop.example.org>";
  parts.boundary_token = [] { return std::string("0123456789abcdef0123456789abcdef"); };
  return parts;
}

void Build(benchmark::State& state, const MessageParts& parts) {
  std::size_t size = 0;
  for (auto _ : state) {
    const auto built = BuildMessage(parts);
    if (!built.ok()) state.SkipWithError(built.status().ToString().c_str());
    if (built.ok()) size = built->size();
    benchmark::DoNotOptimize(built);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(size));
  state.SetItemsProcessed(state.iterations());
}

void BuildText(benchmark::State& state) {
  const std::string text = Lines(state.range(0));
  MessageParts parts = Parts();
  parts.text = text;
  Build(state, parts);
}
BENCHMARK(BuildText)->Arg(4 << 10)->Arg(50 << 10);

void BuildTextHtmlAttachment(benchmark::State& state) {
  const std::string text = Lines(2 << 10), file(40 << 10, '\x7f');
  const std::string html = absl::StrCat("<p>", Lines(4 << 10), " naïve café</p>");
  MessageParts parts = Parts();
  parts.text = text;
  parts.html = html;
  parts.attachments = {{"invoice.pdf", "application/pdf", file, "", false}};
  Build(state, parts);
}
BENCHMARK(BuildTextHtmlAttachment);

void PrepareWhole(benchmark::State& state) {
  std::string message =
      "From: Alice <alice@ours.test>\r\nTo: bob@bench.test\r\nSubject: load\r\nDate: Thu, 01 Jan 2026 00:00:00 "
      "+0000\r\n"
      "Message-ID: <load@ours.test>\r\n\r\n";
  while (message.size() < static_cast<std::size_t>(state.range(0))) message += std::string(62, 'x') + "\r\n";
  SubmitOptions options;
  options.received =
      "Received: from a.example ([192.0.2.1]) by b.example with ESMTP;\r\n\tThu, 01 Jan 2026 00:00:00 +0000\r\n";
  for (auto _ : state) {
    const auto prepared = PrepareSubmitted(message, options);
    if (!prepared.ok()) state.SkipWithError(prepared.status().ToString().c_str());
    benchmark::DoNotOptimize(prepared);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(message.size()));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PrepareWhole)->Arg(4 << 10)->Arg(50 << 10);

}  // namespace
}  // namespace hikyaku::mime
