// The server's side of an SMTP connection: bytes in, bytes out, by the rule table in server_session.cc. It is pure: it
// reads no socket and knows no time; the connection coroutine in services/submission does.
//
// Source:     RFC 5321 (dialogue), RFC 2920 (PIPELINING), RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8),
//             RFC 3030 (CHUNKING, not BINARYMIME), RFC 2034 (ENHANCEDSTATUSCODES),
//             RFC 3461 (DSN).
// Non-goals:  the content of a message beyond its line ends (lib/submission); AUTH and STARTTLS (refused for now).
// Threading:  one owner, the coroutine of the connection.
//
// The caller's loop:
//   ServerSession session(options, &policy);
//   Want want = session.Start();
//   for (;;) { write session.TakeOutput(); then by `want`:
//     kRead:    want = session.Feed(bytes), or TimedOut() or ShutDown()
//     kDeliver: take transaction(), make it durable, want = session.Answer({250, "2.0.0", "OK id"})
//     kClose:   close the connection }
// Output is bounded by what one Feed holds, so feed at most about 64 KiB and write before the next read.
#ifndef HIKYAKU_LIB_SMTP_SERVER_SESSION_H_
#define HIKYAKU_LIB_SMTP_SERVER_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/address/address.h"
#include "lib/smtp/command.h"
#include "lib/smtp/dot_reader.h"
#include "lib/smtp/reply.h"

namespace hikyaku::smtp {

struct ServerOptions {
  std::string hostname;                         // In the greeting and in EHLO's answer.
  std::uint64_t max_size = 25 << 20;            // Octets of a message; announced as SIZE.
  std::size_t max_recipients = 1000;            // The next one gets 452 4.5.3; at least 100 (RFC 5321 §4.5.3.1.8).
  int max_errors = 20;                          // The bad command with this number gets 421 4.7.0.
  int max_commands_without_mail = 100;          // NOOP, RSET, VRFY, EHLO, MAIL …; the next gets 421 4.7.0.
  std::uint64_t max_line_discarded = 16 << 20;  // Of one overlong command line, before 421.
  bool may_relay = false;                       // The client is in trusted_networks. If not, every RCPT is refused.
};

struct Recipient {
  address::Address address;
  std::string original;            // The path as the client wrote it, without `<>`.
  std::uint32_t notify = 0;        // As in RcptCommand.
  std::string original_recipient;  // As in RcptCommand.
};

// A mail as the client gave it. Complete at kDeliver, with `data` as CRLF lines without dot-stuffing; before that the
// policy sees it as far as it is known.
struct Transaction {
  std::string helo;         // The argument of EHLO or HELO: printable, without spaces.
  bool esmtp = false;       // It was EHLO.
  address::Address sender;  // empty() for `<>`.
  std::vector<Recipient> recipients;
  bool eight_bit = false;           // BODY=8BITMIME was declared.
  bool smtputf8 = false;            // SMTPUTF8 was declared.
  std::uint64_t declared_size = 0;  // SIZE=; 0 when it was not given.
  dsn::Returned returned = dsn::Returned::kUnspecified;
  std::string envelope_id;  // As in MailCommand.
  std::string data;         // Move it out at kDeliver.
};

// What the site has to say about a transaction. Each function gives a refusal (4xx or 5xx; its text goes to the
// client), or nothing to let it pass.
class ServerPolicy {
 public:
  virtual ~ServerPolicy() = default;

  // At MAIL: no space, no memory, a sender that is not allowed (452 4.3.1, …).
  virtual std::optional<Reply> CheckMail(const Transaction& transaction);

  // At RCPT, for clients that may relay. This one refuses address literals (550 5.1.2); an override calls it, except
  // for the literals that the configuration opens.
  virtual std::optional<Reply> CheckRcpt(const Transaction& transaction, const address::Address& recipient);

  // At DATA and at the first BDAT, before the message costs memory.
  virtual std::optional<Reply> CheckData(const Transaction& transaction);

  // For the books: the session itself refuses a message (its size, its line ends) or a recipient with this reply. What
  // the functions above refuse is not told here.
  virtual void MessageRefused(const Reply& reply) {}
  virtual void RecipientRefused(const Reply& reply) {}
};

class ServerSession {
 public:
  enum class Want {
    kRead,     // Write the output, then read more.
    kDeliver,  // transaction() is complete. Write the output, then Answer().
    kClose,    // Write the output, then close.
  };

  enum class State { kGreeted, kReady, kMail, kRcpt, kBdat, kBody, kDelivering, kClosed };

  // A longer command line gets 500 5.5.6. RFC 5321 §4.5.3.1.4 asks for 512, its extensions for a few hundred more.
  static constexpr std::size_t kMaxCommandLine = 1000;  // Octets with CRLF.
  static constexpr std::size_t kMaxChunks = 10'000;     // BDAT commands of one message.
  static constexpr std::size_t kMaxHello = 255;         // Octets of the argument of EHLO (§4.5.3.1.2).

  // `policy` outlives the session.
  ServerSession(ServerOptions options, ServerPolicy* policy);
  ServerSession(const ServerSession&) = delete;
  ServerSession& operator=(const ServerSession&) = delete;

  // The greeting, 220.
  Want Start();

  // Instead of Start: refuses the whole connection with 421 or 554, for example because there are too many.
  Want Refuse(const Reply& reply);

  // Takes all of `bytes`; only after kRead.
  Want Feed(absl::string_view bytes);

  // The outcome of the delivery that kDeliver asked for; a 421 also closes. Then goes on with what came behind it.
  Want Answer(const Reply& reply);

  // The client was silent for too long (421 4.4.2), or we are stopping (421 4.3.2). A message that is being read is
  // dropped. After kDeliver, Answer() first.
  Want TimedOut();
  Want ShutDown();

  // What is to be written now; afterwards there is nothing.
  std::string TakeOutput();

  // The current transaction: read it when you like, move from it at kDeliver.
  Transaction& transaction() { return transaction_; }
  const Transaction& transaction() const { return transaction_; }

  State state() const { return state_; }

  // A message's content is being read: the time limit is that for data (§4.5.3.2.5), not that for commands.
  bool reading_data() const { return state_ == State::kBody || in_chunk_; }

  std::size_t messages() const { return messages_; }  // Answered with 2xx.

 private:
  struct Rule;
  static const Rule kRules[];

  // Reading.
  Want Run(absl::string_view in);
  Want Now() const;
  void ReadCommand(absl::string_view* in);
  void DiscardLine(absl::string_view* in);
  void ReadData(absl::string_view* in);
  void ReadChunk(absl::string_view* in);
  void Step(absl::string_view line);
  Reply Execute(const Command& command);

  // BDAT is not in the table: its octets follow in whatever state it comes, and must be read before the answer.
  void BeginChunk(const Command& command);
  std::optional<Reply> WhyNoChunk(std::uint64_t size);
  void EndChunk();

  // Answering.
  void Send(const Reply& reply);
  void SendCounted(const Reply& reply);
  void Close(const Reply& reply);
  void Deliver();
  void EndMessage(const Reply& reply);
  void RefuseMessage(const Reply& reply);
  void ResetTransaction();

  // The commands of the table, in server_commands.cc.
  Reply Ehlo(const Command& command);
  Reply Helo(const Command& command);
  Reply Hello(absl::string_view name, bool esmtp);
  Reply Mail(const Command& command);
  Reply Rcpt(const Command& command);
  std::variant<RcptCommand, Reply> ReadRcpt(const Command& command) const;
  Reply Data(const Command& command);
  Reply NoRecipients(const Command& command);
  Reply Rset(const Command& command);
  Reply Noop(const Command& command);
  Reply Vrfy(const Command& command);
  Reply Help(const Command& command);
  Reply Quit(const Command& command);
  Reply NotOffered(const Command& command);

  const ServerOptions options_;
  ServerPolicy* const policy_;

  State state_ = State::kGreeted;
  std::string helo_;
  bool esmtp_ = false;
  Transaction transaction_;
  std::string output_;
  std::string pending_;  // Input behind a message that waits for its answer.

  std::string line_;             // The start of a command line, at most kMaxCommandLine.
  bool discarding_ = false;      // The line is longer; its octets are dropped up to CRLF.
  bool discarded_cr_ = false;    // The last of them was a CR.
  std::uint64_t discarded_ = 0;  // How many they are.

  DotReader dots_;
  std::uint64_t data_octets_ = 0;  // Read since DATA.

  bool in_chunk_ = false;
  std::uint64_t chunk_left_ = 0;  // Octets of the present BDAT chunk to come.
  std::uint64_t chunk_size_ = 0;
  bool chunk_last_ = false;
  std::size_t chunks_ = 0;                 // Of this message.
  std::optional<Reply> chunk_refusal_;     // The answer to the present chunk, whose octets are dropped.
  std::optional<Reply> transfer_refusal_;  // A chunk of this message was refused: so are all that follow.

  int errors_ = 0;
  int commands_without_mail_ = 0;
  std::size_t messages_ = 0;
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_SERVER_SESSION_H_
