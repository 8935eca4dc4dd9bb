// A whole server session: whatever a client sends, in whatever pieces, no message holds a bare CR or LF, nobody relays
// who may not, every answer is a reply, and the same bytes in other pieces give the same answers.
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "lib/base/check.h"
#include "lib/smtp/server_session.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::smtp::Reply;
using hikyaku::smtp::ServerOptions;
using hikyaku::smtp::ServerPolicy;
using hikyaku::smtp::ServerSession;
using hikyaku::smtp::Transaction;

// Answers to a delivered message, by its number: what the queue may say.
const Reply kAnswers[] = {{250, "2.0.0", "OK"}, {452, "4.3.1", "Full"}, {554, "5.6.0", "Not a message"}};

void CheckTransaction(const Transaction& transaction, const ServerOptions& options) {
  HIKYAKU_CHECK(options.may_relay);
  HIKYAKU_CHECK(!hikyaku::fuzz::HasBareLineEnd(transaction.data));
  HIKYAKU_CHECK(transaction.data.find('\0') == std::string::npos);
  HIKYAKU_CHECK(transaction.data.empty() || absl::EndsWith(transaction.data, "\r\n"));
  HIKYAKU_CHECK(transaction.data.size() <= options.max_size + 2);  // A chunk may lack its last CRLF.
  HIKYAKU_CHECK(!transaction.recipients.empty() && transaction.recipients.size() <= options.max_recipients);
  HIKYAKU_CHECK(transaction.helo.size() <= ServerSession::kMaxHello && !transaction.helo.empty());
  for (const auto& recipient : transaction.recipients) {
    HIKYAKU_CHECK(transaction.smtputf8 || !recipient.address.NeedsSmtpUtf8());
    HIKYAKU_CHECK(!recipient.address.empty());
  }
}

struct Outcome {
  std::string output;
  std::size_t delivered = 0;
  bool operator==(const Outcome&) const = default;
};

Outcome Run(absl::string_view input, std::size_t piece, const ServerOptions& options) {
  ServerPolicy policy;
  ServerSession session(options, &policy);
  auto want = session.Start();
  Outcome outcome;
  outcome.output = session.TakeOutput();
  while (want != ServerSession::Want::kClose && !(want == ServerSession::Want::kRead && input.empty())) {
    if (want == ServerSession::Want::kDeliver) {
      CheckTransaction(session.transaction(), options);
      want = session.Answer(kAnswers[outcome.delivered++ % std::size(kAnswers)]);
    } else {
      const absl::string_view now = input.substr(0, piece);
      input.remove_prefix(now.size());
      want = session.Feed(now);
    }
    outcome.output += session.TakeOutput();
  }
  if (want == ServerSession::Want::kRead) {
    HIKYAKU_CHECK(session.TimedOut() == ServerSession::Want::kClose);
    outcome.output += session.TakeOutput();
  }
  HIKYAKU_CHECK(session.messages() <= outcome.delivered);
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  const std::uint8_t flags = input.Byte();
  const std::size_t piece = 1 + input.Byte();
  ServerOptions options;
  options.hostname = "mx.test";
  options.max_size = (flags & 2) != 0 ? 64 : 4096;
  options.may_relay = (flags & 1) != 0;
  options.max_recipients = 3;
  options.max_line_discarded = 4096;
  const Outcome whole = Run(input.rest(), input.rest().size() + 1, options);
  HIKYAKU_CHECK(Run(input.rest(), piece, options) == whole);
  HIKYAKU_CHECK(hikyaku::fuzz::IsRowOfReplies(whole.output));
  return 0;
}
