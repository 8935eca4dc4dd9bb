// The life of the input: lines, the data behind 354, the octets of chunks; and the rule table that says which command
// is allowed when. What a command does is in server_commands.cc.
#include "lib/smtp/server_session.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/check.h"
#include "lib/smtp/command.h"
#include "lib/smtp/reply.h"

namespace hikyaku::smtp {
namespace {

// A message that is too large is read to its end, so that the client can go on. Beyond this multiple of the limit it
// is an attack, and the connection ends.
constexpr std::uint64_t kReadOnFactor = 4;

// A set of states as bits, so that a rule reads like its sentence in the RFC.
template <typename... States>
constexpr unsigned In(States... states) {
  return ((1u << static_cast<unsigned>(states)) | ...);
}

// The position behind the first CRLF of `in`, whose LF may come first when the octet before `in` was a CR.
std::size_t BehindCrlf(absl::string_view in, bool after_cr) {
  for (std::size_t lf = in.find('\n'); lf != absl::string_view::npos; lf = in.find('\n', lf + 1)) {
    if (lf == 0 ? after_cr : in[lf - 1] == '\r') return lf + 1;
  }
  return absl::string_view::npos;
}

// Commands that a client could repeat for ever at no cost. (RCPT is bounded by the recipients of a message, and counts
// only where every one is refused.)
bool MovesNoMail(Verb verb, bool may_relay) {
  if (verb == Verb::kRcpt) return !may_relay;
  return verb != Verb::kData && verb != Verb::kBdat && verb != Verb::kQuit && verb != Verb::kUnknown;
}

// Answers to a client that does not speak properly; a refused sender or recipient is not one.
bool IsError(const Reply& reply) { return (reply.code >= 500 && reply.code <= 504) || reply.code == 555; }

// What a browser sends that was led here by a page of somebody else's: what such a page may choose stands in the lines
// that follow, and a client of ours is trusted by its address. (RFC 9110 §9; Postfix knows smtpd_forbidden_commands.)
bool IsHttp(absl::string_view line) {
  constexpr absl::string_view kWords[] = {"GET",     "POST",  "PUT",   "HEAD", "DELETE", "OPTIONS",
                                          "CONNECT", "TRACE", "PATCH", "PRI",  "Host:"};
  const absl::string_view word = line.substr(0, line.find(' '));
  return absl::StrContains(line, " HTTP/") ||
         std::any_of(std::begin(kWords), std::end(kWords),
                     [word](absl::string_view known) { return absl::EqualsIgnoreCase(word, known); });
}

Reply TooLarge() { return {552, "5.3.4", "Message too large"}; }

// The message would be read as other lines by other servers (SMTP smuggling), so none of it is taken.
Reply BadLines() { return {550, "5.6.0", "Message holds a bare CR, a bare LF or NUL"}; }

}  // namespace

// One row is one legal move. A 2xx or 3xx answer makes it; a 4xx or 5xx answer leaves the state alone, so that the
// client may try again (RFC 5321 §4.1.4).
struct ServerSession::Rule {
  Verb verb;
  unsigned from;
  std::optional<State> to;  // Empty: the state stays.
  Reply (ServerSession::*run)(const Command&);
};

using S = ServerSession::State;
constexpr unsigned kAnyState = In(S::kGreeted, S::kReady, S::kMail, S::kRcpt, S::kBdat);
constexpr unsigned kAfterHello = In(S::kReady, S::kMail, S::kRcpt, S::kBdat);

// clang-format off
const ServerSession::Rule ServerSession::kRules[] = {
    // verb           allowed in                 then          done by
    {Verb::kEhlo,     kAnyState,                 S::kReady,    &ServerSession::Ehlo},
    {Verb::kHelo,     kAnyState,                 S::kReady,    &ServerSession::Helo},
    {Verb::kMail,     In(S::kReady),             S::kMail,     &ServerSession::Mail},
    {Verb::kRcpt,     In(S::kMail, S::kRcpt),    S::kRcpt,     &ServerSession::Rcpt},
    {Verb::kData,     In(S::kRcpt),              S::kBody,     &ServerSession::Data},
    {Verb::kData,     In(S::kMail),              std::nullopt, &ServerSession::NoRecipients},
    {Verb::kRset,     In(S::kGreeted),           std::nullopt, &ServerSession::Rset},
    {Verb::kRset,     kAfterHello,            S::kReady,    &ServerSession::Rset},
    {Verb::kNoop,     kAnyState,                 std::nullopt, &ServerSession::Noop},
    {Verb::kVrfy,     kAnyState,                 std::nullopt, &ServerSession::Vrfy},
    {Verb::kHelp,     kAnyState,                 std::nullopt, &ServerSession::Help},
    {Verb::kExpn,     kAnyState,                 std::nullopt, &ServerSession::NotOffered},
    {Verb::kAuth,     kAnyState,                 std::nullopt, &ServerSession::NotOffered},
    {Verb::kStartTls, kAnyState,                 std::nullopt, &ServerSession::NotOffered},
    {Verb::kQuit,     kAnyState,                 S::kClosed,   &ServerSession::Quit},
};
// clang-format on

ServerSession::ServerSession(ServerOptions options, ServerPolicy* policy)
    : options_(std::move(options)), policy_(policy), dots_(options_.max_size) {}

ServerSession::Want ServerSession::Start() {
  Send({220, "", absl::StrCat(options_.hostname, " ESMTP Hikyaku")});
  return Want::kRead;
}

ServerSession::Want ServerSession::Refuse(const Reply& reply) {
  Close(reply);
  return Want::kClose;
}

ServerSession::Want ServerSession::Feed(absl::string_view bytes) {
  HIKYAKU_CHECK(state_ != State::kDelivering);
  return Run(bytes);
}

ServerSession::Want ServerSession::Run(absl::string_view in) {
  while (!in.empty() && state_ != State::kClosed && state_ != State::kDelivering) {
    if (state_ == State::kBody) {
      ReadData(&in);
    } else if (in_chunk_) {
      ReadChunk(&in);
    } else {
      ReadCommand(&in);
    }
  }
  if (state_ == State::kDelivering) pending_ = std::string(in);
  return Now();
}

ServerSession::Want ServerSession::Now() const {
  if (state_ == State::kClosed) return Want::kClose;
  return state_ == State::kDelivering ? Want::kDeliver : Want::kRead;
}

// Takes one line, or the part of it that has come. Only CRLF ends it: a bare LF that did would let a client's client
// put commands into an address.
void ServerSession::ReadCommand(absl::string_view* in) {
  if (discarding_) return DiscardLine(in);
  const std::size_t end = BehindCrlf(*in, absl::EndsWith(line_, "\r"));
  const bool complete = end != absl::string_view::npos;
  const absl::string_view part = in->substr(0, end);
  if (line_.size() + part.size() > kMaxCommandLine) {
    discarding_ = true;
    discarded_cr_ = absl::EndsWith(line_, "\r");
    discarded_ = line_.size();
    line_.clear();
    return DiscardLine(in);
  }
  in->remove_prefix(part.size());
  absl::StrAppend(&line_, part);
  if (!complete) return;
  const std::string line = std::exchange(line_, std::string());
  Step(absl::string_view(line).substr(0, line.size() - 2));
}

void ServerSession::DiscardLine(absl::string_view* in) {
  const std::size_t end = BehindCrlf(*in, discarded_cr_);
  const absl::string_view part = in->substr(0, end);
  discarded_cr_ = part.back() == '\r';
  discarded_ += part.size();
  in->remove_prefix(part.size());
  if (discarded_ > options_.max_line_discarded) return Close({421, "4.7.0", "Command line too long"});
  if (end == absl::string_view::npos) return;
  discarding_ = false;
  SendCounted({500, "5.5.6", "Command line too long"});
}

void ServerSession::Step(absl::string_view line) {
  const Command command = ParseCommand(line);
  if (command.verb == Verb::kUnknown && IsHttp(line)) return Close({421, "4.7.0", "This server speaks SMTP"});
  if (MovesNoMail(command.verb, options_.may_relay) && ++commands_without_mail_ > options_.max_commands_without_mail) {
    return Close({421, "4.7.0", "Too many commands without a mail"});
  }
  if (command.verb == Verb::kBdat) return BeginChunk(command);
  SendCounted(Execute(command));
}

Reply ServerSession::Execute(const Command& command) {
  if (command.verb == Verb::kUnknown) return {500, "5.5.2", "Unknown command"};
  for (const Rule& rule : kRules) {
    if (rule.verb != command.verb || !(rule.from & In(state_))) continue;
    Reply reply = (this->*rule.run)(command);
    if (reply.code < 400 && rule.to.has_value()) state_ = *rule.to;
    return reply;
  }
  return {503, "5.5.1", "Bad sequence of commands"};
}

void ServerSession::ReadData(absl::string_view* in) {
  const std::size_t before = in->size();
  const bool complete = dots_.Feed(in);
  data_octets_ += before - in->size();
  // Before `complete`, so that it does not depend on the pieces in which the octets come.
  if (dots_.too_large() && data_octets_ / kReadOnFactor > options_.max_size) {
    policy_->MessageRefused(TooLarge());
    return Close(TooLarge());
  }
  if (!complete) return;
  if (dots_.too_large()) return RefuseMessage(TooLarge());
  if (dots_.bare_cr() || dots_.bare_lf() || dots_.nul()) return RefuseMessage(BadLines());
  transaction_.data = dots_.TakeData();
  Deliver();
}

void ServerSession::BeginChunk(const Command& command) {
  const std::variant<BdatCommand, Reply> parsed = ParseBdat(command.args);
  if (const Reply* refusal = std::get_if<Reply>(&parsed)) {
    return refusal->code == 552 ? Close(*refusal) : SendCounted(*refusal);
  }
  const BdatCommand& bdat = std::get<BdatCommand>(parsed);
  if (bdat.size / kReadOnFactor > options_.max_size) {
    policy_->MessageRefused(TooLarge());
    return Close(TooLarge());
  }
  in_chunk_ = true;
  chunk_size_ = chunk_left_ = bdat.size;
  chunk_last_ = bdat.last;
  chunk_refusal_ = WhyNoChunk(bdat.size);
  if (chunk_left_ == 0) EndChunk();
}

std::optional<Reply> ServerSession::WhyNoChunk(std::uint64_t size) {
  if (state_ != State::kRcpt && state_ != State::kBdat) return Reply{503, "5.5.1", "No valid recipients"};
  if (state_ == State::kRcpt) transfer_refusal_ = policy_->CheckData(transaction_);
  state_ = State::kBdat;
  if (!transfer_refusal_) {
    if (++chunks_ > kMaxChunks) transfer_refusal_ = Reply{554, "5.5.0", "Too many chunks"};
    if (size > options_.max_size - transaction_.data.size()) transfer_refusal_ = TooLarge();
    if (transfer_refusal_) policy_->MessageRefused(*transfer_refusal_);
  }
  if (transfer_refusal_) transaction_.data = std::string();
  return transfer_refusal_;
}

void ServerSession::ReadChunk(absl::string_view* in) {
  const std::size_t taken = std::min<std::uint64_t>(chunk_left_, in->size());
  if (!chunk_refusal_) transaction_.data.append(in->data(), taken);
  in->remove_prefix(taken);
  chunk_left_ -= taken;
  if (chunk_left_ == 0) EndChunk();
}

void ServerSession::EndChunk() {
  in_chunk_ = false;
  if (chunk_refusal_) {
    if (state_ == State::kBdat && chunk_last_) return EndMessage(*chunk_refusal_);
    return SendCounted(*chunk_refusal_);
  }
  if (!chunk_last_) return Send({250, "2.0.0", absl::StrCat(chunk_size_, " octets received")});
  std::string& data = transaction_.data;
  if (FindLineFaults(data).any()) return RefuseMessage(BadLines());
  if (!data.empty() && !absl::EndsWith(data, "\r\n")) data += "\r\n";
  Deliver();
}

void ServerSession::Deliver() { state_ = State::kDelivering; }

void ServerSession::RefuseMessage(const Reply& reply) {
  policy_->MessageRefused(reply);
  EndMessage(reply);
}

void ServerSession::EndMessage(const Reply& reply) {
  ResetTransaction();
  state_ = State::kReady;
  Send(reply);
}

ServerSession::Want ServerSession::Answer(const Reply& reply) {
  HIKYAKU_CHECK(state_ == State::kDelivering);
  if (reply.Positive()) {
    ++messages_;
    commands_without_mail_ = 0;
  }
  EndMessage(reply);
  if (reply.code == 421) state_ = State::kClosed;
  const std::string pending = std::exchange(pending_, std::string());
  return Run(pending);
}

ServerSession::Want ServerSession::TimedOut() { return Refuse({421, "4.4.2", "Timeout"}); }

ServerSession::Want ServerSession::ShutDown() { return Refuse({421, "4.3.2", "Service shutting down"}); }

std::string ServerSession::TakeOutput() { return std::exchange(output_, std::string()); }

void ServerSession::Send(const Reply& reply) { AppendReply(reply, &output_); }

void ServerSession::SendCounted(const Reply& reply) {
  if (IsError(reply) && ++errors_ >= options_.max_errors) return Close({421, "4.7.0", "Too many errors"});
  Send(reply);
}

void ServerSession::Close(const Reply& reply) {
  if (state_ != State::kClosed) Send(reply);
  ResetTransaction();
  pending_.clear();
  state_ = State::kClosed;
}

// HELO and EHLO are remembered: they hold for the session.
void ServerSession::ResetTransaction() {
  transaction_ = Transaction();
  transaction_.helo = helo_;
  transaction_.esmtp = esmtp_;
  dots_ = DotReader(options_.max_size);
  data_octets_ = 0;
  in_chunk_ = false;
  chunk_left_ = 0;
  chunks_ = 0;
  transfer_refusal_.reset();
}

}  // namespace hikyaku::smtp
