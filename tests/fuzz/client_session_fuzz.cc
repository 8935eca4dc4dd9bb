// A whole client session against a peer that says anything, in pieces: it ends or waits and never runs away; what it
// writes is commands and content with CRLF line ends, at most one end of a message a transaction, and nothing after
// QUIT.
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/base/utf8.h"
#include "lib/smtp/client_session.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::smtp::ClientSession;
using hikyaku::smtp::Outgoing;
using hikyaku::smtp::StartTls;
using hikyaku::smtp::Step;
using hikyaku::smtp::TransactionResult;
using Want = ClientSession::Want;

constexpr int kTransactions = 4;
constexpr absl::string_view kHead = "Subject: x\r\n";
constexpr absl::string_view kBody = "\r\n.dot\r\n..two\r\n";
constexpr absl::string_view kStuffed = "Subject: x\r\n\r\n..dot\r\n...two\r\n.\r\n";

// Drives one session and watches what it writes.
class Peer {
 public:
  explicit Peer(bool gives_up_body) : session_("client.test"), gives_up_body_(gives_up_body) {}

  void Run(absl::string_view bytes, std::size_t piece) {
    Want want = Advance(session_.Start(StartTls::kIfOffered));
    while (want != Want::kClose && !bytes.empty()) {
      const absl::string_view now = bytes.substr(0, piece);
      bytes.remove_prefix(now.size());
      // In kWrite the write is given up, to see what the peer has to say.
      const bool given_up = want == Want::kWrite;
      want = Advance(session_.Feed(now));
      HIKYAKU_CHECK(!given_up || want == Want::kClose);
    }
    HIKYAKU_CHECK(session_.Lost("closed by peer") == Want::kClose);
    HIKYAKU_CHECK(!session_.reusable());
    if (in_transaction_) CheckResult(session_.result());
  }

 private:
  // Follows the session until it wants to read, or is at the end of what it has to do.
  Want Advance(Want want) {
    for (int steps = 0; steps < 1000; ++steps) {
      if (want == Want::kIdle) {
        if (in_transaction_) CheckResult(session_.result());
        in_transaction_ = false;
        if (begun_ == kTransactions) {
          want = session_.Quit();
          continue;
        }
        want = Begin();
      } else if (want == Want::kTls) {
        want = session_.TlsBegun();
      } else if (want == Want::kWrite) {
        if (gives_up_body_ && session_.step() == Step::kBody) return want;
        CheckOutput();
        want = session_.OutputWritten();
      } else {
        return want;
      }
    }
    HIKYAKU_CHECK(false && "the session writes without end");
    return want;
  }

  Want Begin() {
    ++begun_;
    in_transaction_ = true;
    commits_ = 0;
    written_.clear();
    Outgoing mail;
    mail.sender = begun_ == 2 ? "" : "a@x.test";
    mail.recipients = {"b@y.test", "c@y.test"};
    mail.head = kHead;
    mail.body = kBody;
    mail.needs_8bit = begun_ == 3;
    mail.needs_smtputf8 = begun_ == 4;
    return session_.Begin(mail);
  }

  void CheckOutput() {
    HIKYAKU_CHECK(!quit_);
    std::string output;
    for (const absl::string_view piece : session_.output()) output.append(piece.data(), piece.size());
    HIKYAKU_CHECK(!output.empty() && !hikyaku::fuzz::HasBareLineEnd(output) && absl::EndsWith(output, "\r\n"));
    if (session_.output_commits()) ++commits_;
    HIKYAKU_CHECK(commits_ <= 1);
    quit_ = output == "QUIT\r\n";
    if (in_transaction_) written_ += output;
  }

  void CheckResult(const TransactionResult& result) {
    HIKYAKU_CHECK(result.rcpt.size() <= 2);
    HIKYAKU_CHECK(result.committed == (commits_ > 0));
    HIKYAKU_CHECK(hikyaku::IsValidUtf8(result.broke) && result.broke.find('\n') == std::string::npos);
    for (const auto* reply : {&result.mail, &result.data, &result.final, &result.closing}) {
      if (reply->has_value()) HIKYAKU_CHECK(hikyaku::IsValidUtf8((*reply)->ToString()));
    }
    if (!result.failed_at.has_value())
      HIKYAKU_CHECK(result.final.has_value() && result.final->Positive() && commits_ == 1);
    if (result.Ambiguous()) HIKYAKU_CHECK(result.committed && !result.final.has_value());
    // The end of the data stands in the output once if the message was sent by DATA, and behind exactly its content.
    const bool by_data = absl::StrContains(written_, "\r\nDATA\r\n");
    const std::size_t end = written_.find("\r\n.\r\n");
    if (end != std::string::npos) {
      HIKYAKU_CHECK(by_data && written_.find("\r\n.\r\n", end + 1) == std::string::npos);
      const absl::string_view sent = absl::string_view(written_).substr(0, end + 5);
      HIKYAKU_CHECK(absl::EndsWith(sent, kStuffed) || absl::EndsWith(sent, "DATA\r\n.\r\n"));
    }
  }

  ClientSession session_;
  const bool gives_up_body_;
  int begun_ = 0;
  int commits_ = 0;
  bool in_transaction_ = false;
  bool quit_ = false;
  std::string written_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.Byte();
  const bool gives_up_body = input.Byte() % 8 == 1;
  Peer(gives_up_body).Run(input.rest(), piece);
  return 0;
}
