// The client's side of an SMTP connection: one session, any number of transactions. It is pure: it says what to
// write and whether to read, and takes the bytes that came.
//
// LMTP is the same dialogue but for its greeting, and for one last reply to each recipient that was accepted.
//
// Source:     RFC 5321 (dialogue), RFC 2033 (LMTP), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING), RFC 1870 (SIZE),
//             RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3207 (STARTTLS), RFC 4954 (AUTH),
//             RFC 3461 (DSN), RFC 8689 (REQUIRETLS).
// Non-goals:  judging mail: it reports the replies and where the dialogue stood, lib/delivery/verdict judges. Time: the
//             caller waits at most ClientTimeouts::For(step()) for each whole reply, and for each write.
// Threading:  one owner, the coroutine of the connection.
//
// The caller's loop:
//   Want want = session.Start();
//   for (;;) switch (want) {
//     case kWrite: write all of session.output(); want = session.OutputWritten(); or Lost() when it fails
//     case kRead:  want = session.Feed(bytes), or Lost("closed by peer") / Lost("timeout")
//     case kIdle:  greeting() done or result() complete. Begin() the next, or Quit().
//     case kClose: the same, but the connection is of no more use. Close it.
//   }
// Before a write for which output_commits() holds, a worker checks its lease: after that write the peer may take the
// mail. To give up instead, close the connection: nothing was delivered.
#ifndef HIKYAKU_LIB_SMTP_CLIENT_SESSION_H_
#define HIKYAKU_LIB_SMTP_CLIENT_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/smtp/dot_writer.h"
#include "lib/smtp/reply.h"
#include "lib/smtp/sasl_client.h"

namespace hikyaku::smtp {

// Where the dialogue stands: what the client waits for now. Each names its timeout of RFC 5321 §4.5.3.2.
enum class Step { kGreeting, kHello, kStartTls, kAuth, kMail, kRcpt, kData, kBody, kDot, kRset, kQuit };

// "MAIL", "RCPT", … for texts such as "timeout at RCPT".
absl::string_view StepName(Step step);

// What the peer offers in its answer to EHLO.
struct Extensions {
  bool esmtp = false;  // EHLO was accepted; false after the fallback to HELO.
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool chunking = false;
  bool smtputf8 = false;
  bool enhanced_codes = false;
  bool starttls = false;
  bool dsn = false;
  bool requiretls = false;
  std::string auth;  // The mechanisms of AUTH, with spaces between them.
  bool size_offered = false;
  std::uint64_t size = 0;  // The largest message that the peer takes; 0: no limit named.
};

// What to do about TLS in the session.
enum class StartTls {
  kNever,      // Not asked for: none is wanted, or the connection is TLS already.
  kIfOffered,  // Where the peer does not offer or refuses it, the session goes on in clear text.
  kRequired,   // Else the session ends: see tls_denied().
};

// One transaction to be made. The addresses go out verbatim between `<` and `>`: already A-labels unless
// `needs_smtputf8`. The body's two pieces follow each other; they and what they point to outlive the transaction.
struct Outgoing {
  std::string sender;                   // Empty for the null sender.
  std::vector<std::string> recipients;  // 1..100 (RFC 5321 §4.5.3.1.8).
  absl::string_view head;               // CRLF line ends, no bare CR or LF; dots are stuffed here when needed.
  absl::string_view body;
  bool needs_8bit = false;      // MAIL says BODY=8BITMIME if the peer offers it; the caller judges when it does not.
  bool needs_smtputf8 = false;  // MAIL says SMTPUTF8 if the peer offers it.
  bool require_tls = false;     // MAIL says REQUIRETLS if the peer offers it; the caller judges when it does not.

  // Said if the peer offers DSN, else left out: "RET=HDRS ENVID=…", and "NOTIFY=… ORCPT=…" for each of `recipients` (or
  // for none: empty). Printable ASCII, a blank between parameters.
  std::string mail_dsn;
  std::vector<std::string> rcpt_dsn;
};

enum class Protocol { kSmtp, kLmtp };

// What happened to one transaction. A reply that did not come is empty.
struct TransactionResult {
  std::optional<Reply> mail;
  std::vector<std::optional<Reply>> rcpt;  // rcpt[i] answers recipients[i].
  std::optional<Reply> data;               // The answer to DATA; never set when BDAT was used.
  std::optional<Reply> final;              // The answer to the final dot or to BDAT LAST. Not set when no recipient
                                           // was accepted. LMTP: the last of them, when all have come.
  std::vector<std::optional<Reply>> rcpt_final;  // LMTP only, else empty: rcpt_final[i] is about recipients[i].
  std::optional<Reply> closing;   // A 421 came, in whatever place (RFC 5321 §3.8): the peer is going away.
  std::optional<Step> failed_at;  // Where it ended; empty when `final` is 2xx.
  bool committed = false;         // The end of the body was written, to at least one recipient perhaps.
  std::string broke;              // The connection or the dialogue broke: why, one printable line.

  // The peer may have taken the mail and the answer is missing: the case of RFC 1047, `ambiguous`. False as soon as a
  // reply shows that it was not taken (MAIL or every RCPT refused, 421).
  bool Ambiguous() const;
};

class ClientSession {
 public:
  enum class Want { kWrite, kRead, kTls, kIdle, kClose };

  // Bodies up to here go out in one write with their envelope when the peer offers CHUNKING and PIPELINING; beyond it
  // a refused recipient would waste too much.
  static constexpr std::size_t kMaxOneWrite = 64 * 1024;

  // A longer body goes out in writes of this size, each under the time limit for a block, and its end alone: what is
  // checked before the write that commits then holds when it is made.
  static constexpr std::size_t kBlock = 256 * 1024;

  // `hostname` is what EHLO says: an FQDN, or an address literal.
  explicit ClientSession(std::string hostname, Protocol protocol = Protocol::kSmtp);
  ClientSession(const ClientSession&) = delete;  // output() points into it.
  ClientSession& operator=(const ClientSession&) = delete;

  // Waits for the greeting. kIdle follows when EHLO (or HELO) was accepted, and STARTTLS was dealt with; kClose when
  // the peer refused (refusal()), denied TLS that is required (tls_denied()) or spoke no SMTP (broke()).
  Want Start(StartTls starttls = StartTls::kNever);

  // After kTls: the handshake has succeeded. Everything that the peer said before is forgotten, and EHLO is said anew
  // (RFC 3207 §4.2). What was read behind the reply to STARTTLS never gets here: that session is broken.
  Want TlsBegun();

  // Logs in; only in kIdle, once, before the first transaction. kIdle follows when the peer has agreed, else kClose:
  // refusal() is its answer, or broke() says which of the two sides broke off. `sasl` outlives the dialogue.
  Want Authenticate(SaslClient* sasl);

  // Starts a transaction; only in kIdle. A session that owes a RSET sends it first. An address that could break the
  // line (a control, a space outside quotes, `<`, `>`) ends it at once: kIdle with `broke` set, nothing sent.
  Want Begin(const Outgoing& mail);

  // Takes what the peer sent. In kWrite only after giving the write up, to learn why it failed or hangs (a peer may
  // refuse a body half-way): the reply is noted and kClose follows.
  Want Feed(absl::string_view bytes);

  // The pieces to write, in order (at most DotWriter::kMaxPieces and a few); valid until the next call of another
  // function that is not const. The bytes of Outgoing's two pieces are referred to in place.
  const std::vector<absl::string_view>& output() const { return output_; }

  // The output holds the end of a message: after it the peer may take the mail.
  bool output_commits() const { return output_commits_; }

  // All of output() was written. May give more to write (a long body goes out in parts, its end alone).
  Want OutputWritten();

  // Sends QUIT; only in kIdle. kClose follows its answer, or Lost().
  Want Quit();

  // The connection closed, failed or timed out. Gives kClose; result().broke says `why` with the step.
  Want Lost(absl::string_view why);

  Step step() const { return step_; }
  // Complete replies so far: when it grows, another reply is awaited, with a time limit of its own.
  std::uint64_t replies() const { return replies_; }

  bool reusable() const { return state_ == State::kIdle; }
  const Extensions& extensions() const { return extensions_; }

  // The 4xx/5xx that ended the session before a transaction: greeting, EHLO or HELO; or a 421 between transactions.
  const std::optional<Reply>& refusal() const { return refusal_; }
  const Reply& greeting() const { return greeting_; }

  // TLS is required, and the peer does not offer it, or refuses it: its words, "" where it did not offer.
  const std::optional<std::string>& tls_denied() const { return tls_denied_; }

  // Why the session is of no more use, when no reply says it; else empty.
  const std::string& broke() const { return broke_; }

  // The last transaction: complete as soon as kIdle or kClose followed its Begin.
  const TransactionResult& result() const { return result_; }
  TransactionResult TakeResult() { return std::move(result_); }

 private:
  enum class State {
    kNew,
    kGreeting,
    kEhlo,
    kHelo,
    kStartTls,
    kTls,
    kAuth,
    kIdle,
    kTransaction,
    kReset,
    kQuitting,
    kClosed
  };
  // What the next reply answers.
  enum class Awaits { kMail, kRcpt, kData, kFinal, kLoneDot };

  Want OnReply(Reply reply);
  Want OnUnasked(const Reply& reply);
  Want OnGreeting(Reply reply);
  Want OnHello(Reply reply);
  Want AfterHello();
  Want OnStartTls(Reply reply);
  Want OnAuth(Reply reply);
  Want DenyTls(std::string why);
  Want OnReset(const Reply& reply);
  Want OnTransactionReply(Reply reply);
  void Record(Awaits what, Reply reply);
  void RecordFinal(Reply reply);

  Want SendHello(State state, absl::string_view verb);
  Want SendEnvelope();
  Want Proceed(Awaits answered);
  Want AfterRcpt();
  Want AfterData();
  Want SendBody();
  Want SendLine(absl::string_view line, Awaits awaits);
  Want EndTransaction();
  Want Close(std::string why);
  void UpdateStep();

  void AppendMail(std::string* out) const;
  void AppendRcpt(std::string* out);
  void ReadExtensions(absl::string_view text);
  bool OneWrite() const;
  bool MailRefused() const { return result_.mail.has_value() && !result_.mail->Positive(); }
  bool AnyRecipient() const;

  const Protocol protocol_;
  std::string hostname_;
  State state_ = State::kNew;
  Step step_ = Step::kGreeting;
  ReplyParser parser_;
  std::uint64_t replies_ = 0;
  Extensions extensions_;
  Reply greeting_;
  std::optional<Reply> refusal_;
  SaslClient* sasl_ = nullptr;
  std::optional<std::string> held_answer_;  // The initial response, where it is too long for the line of AUTH.
  std::string auth_broke_;                  // Why we sent "*".
  StartTls starttls_ = StartTls::kNever;
  std::optional<std::string> tls_denied_;
  std::string broke_;

  Outgoing mail_;
  DotWriter body_;
  TransactionResult result_;
  std::vector<Awaits> awaited_;  // What was sent in this transaction, in order;
  std::size_t answered_ = 0;     // so many of it are answered.
  std::size_t rcpt_sent_ = 0;
  std::size_t rcpt_answered_ = 0;
  bool body_begun_ = false;
  bool body_more_ = false;  // Blocks of the body are still to be written.
  bool owes_rset_ = false;  // The peer may think that the last transaction still goes on.

  std::string commands_;  // What output_ refers to beside the content.
  std::vector<absl::string_view> output_;
  bool output_commits_ = false;
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_CLIENT_SESSION_H_
