// The octets of BDAT chunks (RFC 3030 §2) are content and nothing else: whatever they hold, in whatever pieces they
// come, the message is their sum, and no command in them is run.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/smtp/dot_reader.h"
#include "lib/smtp/server_session.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::smtp::FindLineFaults;
using hikyaku::smtp::ServerOptions;
using hikyaku::smtp::ServerPolicy;
using hikyaku::smtp::ServerSession;

constexpr std::uint64_t kMaxSize = 2048;
constexpr absl::string_view kEnvelope = "EHLO c.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@y.test>\r\n";

// Sees which recipients were named, to find out whether a chunk was taken for commands.
class Watch : public ServerPolicy {
 public:
  std::optional<hikyaku::smtp::Reply> CheckRcpt(const hikyaku::smtp::Transaction&,
                                                const hikyaku::address::Address& recipient) override {
    HIKYAKU_CHECK(recipient.ToString() == "b@y.test");
    ++recipients;
    return std::nullopt;
  }
  int recipients = 0;
};

struct Outcome {
  std::vector<std::string> messages;
  std::string output;
};

Outcome Run(absl::string_view input, std::size_t piece) {
  Watch policy;
  ServerOptions options;
  options.hostname = "mx.test";
  options.max_size = kMaxSize;
  options.may_relay = true;
  options.max_errors = 1'000'000;  // So that the session outlives its refused chunks.
  ServerSession session(options, &policy);
  Outcome outcome;
  auto want = session.Start();
  outcome.output = session.TakeOutput();
  while (want != ServerSession::Want::kClose && !(want == ServerSession::Want::kRead && input.empty())) {
    if (want == ServerSession::Want::kDeliver) {
      outcome.messages.push_back(session.transaction().data);
      want = session.Answer({250, "2.0.0", "OK"});
    } else {
      const absl::string_view now = input.substr(0, piece);
      input.remove_prefix(now.size());
      want = session.Feed(now);
    }
    outcome.output += session.TakeOutput();
  }
  HIKYAKU_CHECK(policy.recipients <= 1);
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.Byte();
  std::string wire(kEnvelope), content;
  for (bool last = false; !last;) {
    const std::string chunk = input.Text(4096);
    last = input.empty() || input.Byte() % 4 == 0;
    content += chunk;
    absl::StrAppend(&wire, "BDAT ", chunk.size(), last ? " LAST\r\n" : "\r\n", chunk);
  }
  wire += "NOOP\r\n";

  const Outcome outcome = Run(wire, piece);
  const Outcome whole = Run(wire, wire.size());
  HIKYAKU_CHECK(outcome.output == whole.output && outcome.messages == whole.messages);
  HIKYAKU_CHECK(hikyaku::fuzz::IsRowOfReplies(outcome.output));
  HIKYAKU_CHECK(absl::EndsWith(outcome.output, "OK\r\n"));  // NOOP was read as a command.
  if (content.size() > kMaxSize || FindLineFaults(content).any()) {
    HIKYAKU_CHECK(outcome.messages.empty());
  } else {
    HIKYAKU_CHECK(outcome.messages.size() == 1);
    if (!content.empty() && !absl::EndsWith(content, "\r\n")) content += "\r\n";
    std::string got = outcome.messages[0];
    if (!got.empty() && !absl::EndsWith(got, "\r\n")) got += "\r\n";
    HIKYAKU_CHECK(got == content);
  }
  return 0;
}
