// A peer for ClientSession in tests: says replies, takes what the client writes; and mails to send it.
#ifndef HIKYAKU_TESTS_UNIT_SMTP_CLIENT_DIALOGUE_H_
#define HIKYAKU_TESTS_UNIT_SMTP_CLIENT_DIALOGUE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/smtp/client_session.h"

namespace hikyaku::smtp {

using Want = ClientSession::Want;

// What the peer offers.
inline const char kOld[] = "250 mx\r\n";
inline const char kPipe[] = "250-mx\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 PIPELINING\r\n";
inline const char kChunk[] = "250-mx\r\n250 CHUNKING\r\n";
inline const char kAll[] = "250-mx\r\n250-pipelining\r\n250-Chunking\r\n250-8bitMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n";

class ClientDialogue {
 public:
  explicit ClientDialogue(StartTls starttls = StartTls::kNever, Protocol protocol = Protocol::kSmtp)
      : lmtp_(protocol == Protocol::kLmtp), session_("out.ours.test", protocol), want_(session_.Start(starttls)) {}
  explicit ClientDialogue(Protocol protocol) : ClientDialogue(StartTls::kNever, protocol) {}

  // What the peer says; gives what the client writes in answer.
  std::string Says(absl::string_view reply) { return Run(session_.Feed(reply)); }

  std::string Run(Want want) {
    std::string written;
    while ((want_ = want) == Want::kWrite) {
      ++writes_;
      const std::size_t before = written.size();
      for (absl::string_view piece : session_.output()) written.append(piece.data(), piece.size());
      if (session_.output_commits()) {
        ++commits_;
        committing_write_ = written.substr(before);
      }
      want = session_.OutputWritten();
    }
    return written;
  }

  // Greeted and through EHLO.
  void Open(absl::string_view extensions) {
    EXPECT_EQ(Says("220 mx ESMTP\r\n"), absl::StrCat(lmtp_ ? "LHLO" : "EHLO", " out.ours.test\r\n"));
    EXPECT_EQ(Says(extensions), "");
    ASSERT_EQ(want_, Want::kIdle);
    writes_ = commits_ = 0;
  }

  ClientSession& session() { return session_; }
  Want want() const { return want_; }
  int writes() const { return writes_; }
  int commits() const { return commits_; }
  const std::string& committing_write() const { return committing_write_; }  // The last one.

 private:
  const bool lmtp_;
  ClientSession session_;
  Want want_;
  int writes_ = 0;
  int commits_ = 0;
  std::string committing_write_;
};

inline std::string Code(const std::optional<Reply>& reply) { return reply ? absl::StrCat(reply->code) : "-"; }

// MAIL, each RCPT, DATA, the final reply; and how it ended.
inline std::string Summary(const TransactionResult& r) {
  std::string out = Code(r.mail);
  for (const auto& rcpt : r.rcpt) absl::StrAppend(&out, " ", Code(rcpt));
  absl::StrAppend(&out, " ", Code(r.data), " ", Code(r.final), " ",
                  r.failed_at ? StepName(*r.failed_at) : absl::string_view("ok"));
  for (const auto& each : r.rcpt_final) absl::StrAppend(&out, " ", Code(each));
  if (r.committed) out += " committed";
  if (r.Ambiguous()) out += " ambiguous";
  if (r.closing) out += " closing";
  if (!r.broke.empty()) out += " broke";
  return out;
}

inline Outgoing Mail(int recipients, absl::string_view body = "text\r\n") {
  Outgoing mail{"a@ours.test", {}, "Subject: x\r\n\r\n", body};
  for (int i = 0; i < recipients; ++i) mail.recipients.push_back(absl::StrCat("r", i, "@ok.test"));
  return mail;
}

inline const std::string kMail = "MAIL FROM:<a@ours.test>\r\n";
inline const std::string kR0 = "RCPT TO:<r0@ok.test>\r\n";
inline const std::string kR1 = "RCPT TO:<r1@ok.test>\r\n";
inline const std::string kText = "Subject: x\r\n\r\ntext\r\n";
inline const std::string kEnd = kText + ".\r\n";
inline const std::string kPipeMail = "MAIL FROM:<a@ours.test> SIZE=20\r\n";
inline const std::string kBdat = "BDAT 20 LAST\r\n" + kText;

struct Turn {
  std::string client;  // What it writes,
  std::string peer;    // and the answer to that.
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_TESTS_UNIT_SMTP_CLIENT_DIALOGUE_H_
