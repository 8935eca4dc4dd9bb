// The dialogue as a queue of what was sent and is not answered yet: with and without PIPELINING the same code reads
// the replies, and Proceed() decides what follows when nothing is outstanding any more.
#include "lib/smtp/client_session.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "lib/base/check.h"

namespace hikyaku::smtp {
namespace {

constexpr int kServiceClosing = 421;  // RFC 5321 §3.8: may answer any command.
constexpr int kReady = 220;           // The one good answer to STARTTLS.
constexpr int kOk = 250;              // The one good answer to EHLO and HELO (RFC 5321 §4.3.2).

// Whether `path` cannot end its line or its brackets early. Addresses come here parsed; this is the last gate before
// the wire, where a slip would be an SMTP injection.
bool IsSafePath(absl::string_view path) {
  bool quoted = false;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return false;
    if (c == '"') quoted = !quoted;
    if (quoted && c == '\\') {
      if (++i == path.size() || absl::ascii_iscntrl(static_cast<unsigned char>(path[i]))) return false;
    }
    if (!quoted && (c == ' ' || c == '<' || c == '>')) return false;
  }
  return !quoted;
}

bool IsPositive(const std::optional<Reply>& reply) { return reply && reply->Positive(); }

bool IsSafeParameters(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace

absl::string_view StepName(Step step) {
  switch (step) {
    case Step::kGreeting: return "greeting";
    case Step::kHello: return "EHLO";
    case Step::kStartTls: return "STARTTLS";
    case Step::kAuth: return "AUTH";
    case Step::kMail: return "MAIL";
    case Step::kRcpt: return "RCPT";
    case Step::kData: return "DATA";
    case Step::kBody: return "body";
    case Step::kDot: return "end of data";
    case Step::kRset: return "RSET";
    case Step::kQuit: return "QUIT";
  }
  return "?";
}

bool TransactionResult::Ambiguous() const {
  if (!committed || final.has_value() || closing.has_value()) return false;
  if (mail.has_value() && !mail->Positive()) return false;
  return std::any_of(rcpt.begin(), rcpt.end(), [](const auto& reply) { return !reply || reply->Positive(); });
}

ClientSession::ClientSession(std::string hostname, Protocol protocol)
    : protocol_(protocol), hostname_(std::move(hostname)) {}

ClientSession::Want ClientSession::Start(StartTls starttls) {
  HIKYAKU_CHECK(state_ == State::kNew);
  starttls_ = starttls;
  state_ = State::kGreeting;
  return Want::kRead;
}

ClientSession::Want ClientSession::Feed(absl::string_view bytes) {
  const bool gave_up_write = !output_.empty();
  Want want = Want::kRead;
  while (!bytes.empty() && state_ != State::kClosed) {
    const bool asked = state_ != State::kIdle && (gave_up_write || want == Want::kRead);
    const ReplyParser::Result parsed = parser_.Take(&bytes);
    if (parsed == ReplyParser::Result::kMalformed) return Close(parser_.error());
    if (parsed == ReplyParser::Result::kNeedMore) break;
    ++replies_;
    want = asked ? OnReply(std::move(parser_.reply())) : OnUnasked(parser_.reply());
  }
  if (state_ == State::kClosed) return Want::kClose;
  if (gave_up_write) return Close("write given up");
  if ((want == Want::kWrite || want == Want::kTls) && parser_.InsideReply()) return Close("reply to no command");
  return state_ == State::kIdle ? Want::kIdle : want;
}

ClientSession::Want ClientSession::OnReply(Reply reply) {
  switch (state_) {
    case State::kGreeting: return OnGreeting(std::move(reply));
    case State::kEhlo:
    case State::kHelo: return OnHello(std::move(reply));
    case State::kStartTls: return OnStartTls(std::move(reply));
    case State::kAuth: return OnAuth(std::move(reply));
    case State::kReset: return OnReset(reply);
    case State::kTransaction: return OnTransactionReply(std::move(reply));
    case State::kQuitting: return Close("");
    case State::kNew:
    case State::kTls:
    case State::kIdle:
    case State::kClosed: break;
  }
  return OnUnasked(reply);
}

// A reply that answers nothing: the peer goes away, or we no longer know which reply answers what.
ClientSession::Want ClientSession::OnUnasked(const Reply& reply) {
  if (reply.code != kServiceClosing) return Close(absl::StrCat("reply to no command: ", reply.ToString()));
  if (state_ == State::kTransaction) {
    result_.closing = reply;
  } else {
    refusal_ = reply;
  }
  return Close("");
}

ClientSession::Want ClientSession::OnGreeting(Reply reply) {
  if (reply.Intermediate()) return Close(absl::StrCat("no greeting: ", reply.ToString()));
  greeting_ = reply;
  if (reply.Positive()) return SendHello(State::kEhlo, "EHLO");
  refusal_ = std::move(reply);
  return Close("");
}

ClientSession::Want ClientSession::SendHello(State state, absl::string_view verb) {
  state_ = state;
  step_ = Step::kHello;
  if (protocol_ == Protocol::kLmtp) verb = "LHLO";
  commands_ = absl::StrCat(verb, " ", hostname_, "\r\n");
  output_ = {commands_};
  return Want::kWrite;
}

ClientSession::Want ClientSession::OnHello(Reply reply) {
  // A late or a second greeting would shift every answer by one, and a refusal to another recipient.
  const bool other = reply.Positive() && reply.code != kOk;
  if (reply.Intermediate() || other) return Close(absl::StrCat("no answer to EHLO: ", reply.ToString()));
  if (reply.Positive()) {
    extensions_ = Extensions();
    if (state_ == State::kEhlo) ReadExtensions(reply.text);
    return AfterHello();
  }
  // RFC 5321 §3.2: a server of RFC 821 does not know EHLO.
  const bool may_know_helo = state_ == State::kEhlo && protocol_ == Protocol::kSmtp;
  if (may_know_helo && reply.Permanent()) return SendHello(State::kHelo, "HELO");
  refusal_ = std::move(reply);
  return Close("");
}

ClientSession::Want ClientSession::AfterHello() {
  if (extensions_.starttls && starttls_ != StartTls::kNever) {
    state_ = State::kStartTls;
    step_ = Step::kStartTls;
    commands_ = "STARTTLS\r\n";
    output_ = {commands_};
    return Want::kWrite;
  }
  if (starttls_ == StartTls::kRequired) return DenyTls("");
  state_ = State::kIdle;
  return Want::kIdle;
}

ClientSession::Want ClientSession::OnStartTls(Reply reply) {
  if (reply.code == kReady) {
    state_ = State::kTls;
    return Want::kTls;
  }
  if (reply.code == kServiceClosing) return OnUnasked(reply);
  if (reply.Positive() || reply.Intermediate()) {
    return Close(absl::StrCat("out of place at STARTTLS: ", reply.ToString()));
  }
  if (starttls_ == StartTls::kRequired) return DenyTls(reply.ToString());
  state_ = State::kIdle;
  return Want::kIdle;
}

ClientSession::Want ClientSession::TlsBegun() {
  HIKYAKU_CHECK(state_ == State::kTls);
  starttls_ = StartTls::kNever;
  parser_ = ReplyParser();
  return SendHello(State::kEhlo, "EHLO");
}

ClientSession::Want ClientSession::DenyTls(std::string why) {
  tls_denied_ = std::move(why);
  state_ = State::kIdle;
  return Quit();
}

void ClientSession::ReadExtensions(absl::string_view text) {
  Extensions& e = extensions_;
  e.esmtp = true;
  bool first = true;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (std::exchange(first, false)) continue;  // The peer's name.
    const std::pair<absl::string_view, absl::string_view> words = absl::StrSplit(line, absl::MaxSplits(' ', 1));
    const std::string keyword = absl::AsciiStrToUpper(words.first);
    e.pipelining |= keyword == "PIPELINING";
    e.eight_bit_mime |= keyword == "8BITMIME";
    e.chunking |= keyword == "CHUNKING";
    e.smtputf8 |= keyword == "SMTPUTF8";
    e.enhanced_codes |= keyword == "ENHANCEDSTATUSCODES";
    e.starttls |= keyword == "STARTTLS";
    // Old servers and old clients write an equals sign.
    if (keyword == "AUTH" || absl::StartsWith(keyword, "AUTH="))
      absl::StrAppend(&e.auth, absl::ClippedSubstr(line, 5), " ");
    e.dsn |= keyword == "DSN";
    e.requiretls |= keyword == "REQUIRETLS";
    if (keyword == "SIZE") {
      e.size_offered = true;
      if (!absl::SimpleAtoi(words.second, &e.size)) e.size = 0;
    }
  }
  // How many replies a BDAT gets whose recipients are not known yet, RFC 2033 does not say.
  e.chunking &= protocol_ == Protocol::kSmtp;
}

ClientSession::Want ClientSession::Begin(const Outgoing& mail) {
  HIKYAKU_CHECK(state_ == State::kIdle);
  HIKYAKU_CHECK(!mail.recipients.empty());
  mail_ = mail;
  result_ = TransactionResult();
  result_.rcpt.resize(mail_.recipients.size());
  if (protocol_ == Protocol::kLmtp) result_.rcpt_final.resize(mail_.recipients.size());
  step_ = Step::kMail;
  const bool safe = IsSafePath(mail_.sender) && IsSafeParameters(mail_.mail_dsn) &&
                    std::all_of(mail_.recipients.begin(), mail_.recipients.end(), IsSafePath) &&
                    std::all_of(mail_.rcpt_dsn.begin(), mail_.rcpt_dsn.end(), IsSafeParameters);
  if (!safe) {
    result_.failed_at = step_;
    result_.broke = "an address that cannot be sent";
    return Want::kIdle;
  }
  state_ = State::kReset;
  if (parser_.InsideReply()) return Close("reply to no command");
  if (!owes_rset_) return SendEnvelope();
  step_ = Step::kRset;
  commands_ = "RSET\r\n";
  output_ = {commands_};
  return Want::kWrite;
}

ClientSession::Want ClientSession::OnReset(const Reply& reply) {
  if (reply.code == kServiceClosing) result_.closing = reply;
  if (!reply.Positive()) return Close(absl::StrCat("RSET refused: ", reply.ToString()));
  return SendEnvelope();
}

// The envelope and a small body in one write: to a peer with CHUNKING that refuses all recipients the body is a wasted
// packet, and it reads the octets before it answers (RFC 3030 §2).
bool ClientSession::OneWrite() const {
  return extensions_.pipelining && extensions_.chunking && body_.raw_size() <= kMaxOneWrite;
}

ClientSession::Want ClientSession::SendEnvelope() {
  state_ = State::kTransaction;
  awaited_ = {Awaits::kMail};
  answered_ = rcpt_sent_ = rcpt_answered_ = 0;
  body_begun_ = body_more_ = false;
  body_ = DotWriter(mail_.head, mail_.body, extensions_.chunking ? DotWriter::Mode::kRaw : DotWriter::Mode::kDots);
  if (body_.raw_size() > kMaxOneWrite) body_.HoldEnd();
  commands_.clear();
  AppendMail(&commands_);
  if (extensions_.pipelining) {
    while (rcpt_sent_ < mail_.recipients.size()) AppendRcpt(&commands_);
    // After LMTP's 354 to a mail without a recipient, it is open how many replies its end has.
    if (!extensions_.chunking && protocol_ == Protocol::kSmtp) {
      commands_ += "DATA\r\n";
      awaited_.push_back(Awaits::kData);
    }
  }
  if (OneWrite()) return SendBody();
  output_ = {commands_};
  UpdateStep();
  return Want::kWrite;
}

void ClientSession::AppendMail(std::string* out) const {
  absl::StrAppend(out, "MAIL FROM:<", mail_.sender, ">");
  if (extensions_.size_offered) absl::StrAppend(out, " SIZE=", body_.raw_size());
  if (mail_.needs_8bit && extensions_.eight_bit_mime) absl::StrAppend(out, " BODY=8BITMIME");
  if (mail_.needs_smtputf8 && extensions_.smtputf8) absl::StrAppend(out, " SMTPUTF8");
  if (mail_.require_tls && extensions_.requiretls) absl::StrAppend(out, " REQUIRETLS");
  if (extensions_.dsn && !mail_.mail_dsn.empty()) absl::StrAppend(out, " ", mail_.mail_dsn);
  absl::StrAppend(out, "\r\n");
}

void ClientSession::AppendRcpt(std::string* out) {
  absl::StrAppend(out, "RCPT TO:<", mail_.recipients[rcpt_sent_], ">");
  const bool told = extensions_.dsn && rcpt_sent_ < mail_.rcpt_dsn.size() && !mail_.rcpt_dsn[rcpt_sent_].empty();
  if (told) absl::StrAppend(out, " ", mail_.rcpt_dsn[rcpt_sent_]);
  absl::StrAppend(out, "\r\n");
  ++rcpt_sent_;
  awaited_.push_back(Awaits::kRcpt);
}

// Writes the next block of the content. BDAT goes before the first, behind what commands_ holds already.
ClientSession::Want ClientSession::SendBody() {
  if (!std::exchange(body_begun_, true)) {
    if (extensions_.chunking) absl::StrAppend(&commands_, "BDAT ", body_.raw_size(), " LAST\r\n");
    const auto accepted = std::count_if(result_.rcpt.begin(), result_.rcpt.end(), IsPositive);
    awaited_.insert(awaited_.end(), protocol_ == Protocol::kLmtp ? accepted : 1, Awaits::kFinal);
  }
  output_.clear();
  if (!commands_.empty()) output_.push_back(commands_);
  body_more_ = !body_.Next(kBlock, &output_);
  output_commits_ = !body_more_;
  UpdateStep();
  return Want::kWrite;
}

ClientSession::Want ClientSession::OutputWritten() {
  HIKYAKU_CHECK(!output_.empty());
  output_.clear();
  commands_.clear();
  if (std::exchange(output_commits_, false)) result_.committed = true;
  if (state_ == State::kTransaction) {
    if (body_more_) return SendBody();
    UpdateStep();
  }
  return Want::kRead;
}

ClientSession::Want ClientSession::OnTransactionReply(Reply reply) {
  if (answered_ == awaited_.size()) return OnUnasked(reply);
  const Awaits what = awaited_[answered_];
  const bool wrong_class = what == Awaits::kData ? reply.Positive() : reply.Intermediate();
  const bool too_early = what == Awaits::kFinal && reply.Positive() && !result_.committed;
  if (wrong_class || too_early) {
    return Close(absl::StrCat("out of place at ", StepName(step_), ": ", reply.ToString()));
  }
  ++answered_;
  if (reply.code == kServiceClosing && !result_.closing) result_.closing = reply;
  Record(what, std::move(reply));
  if (answered_ == awaited_.size()) return Proceed(what);
  UpdateStep();
  return Want::kRead;
}

void ClientSession::Record(Awaits what, Reply reply) {
  switch (what) {
    case Awaits::kMail: result_.mail = std::move(reply); break;
    case Awaits::kRcpt: result_.rcpt[rcpt_answered_++] = std::move(reply); break;
    case Awaits::kData: result_.data = std::move(reply); break;
    case Awaits::kFinal: RecordFinal(std::move(reply)); break;
    case Awaits::kLoneDot: break;
  }
}

void ClientSession::RecordFinal(Reply reply) {
  if (protocol_ == Protocol::kLmtp) {
    std::size_t next = 0;
    while (!IsPositive(result_.rcpt[next]) || result_.rcpt_final[next]) ++next;
    result_.rcpt_final[next] = reply;
    if (answered_ < awaited_.size()) return;
  }
  if (AnyRecipient()) result_.final = std::move(reply);
}

bool ClientSession::AnyRecipient() const { return std::any_of(result_.rcpt.begin(), result_.rcpt.end(), IsPositive); }

// Everything that was sent is answered: what next? After a 421, nothing.
ClientSession::Want ClientSession::Proceed(Awaits answered) {
  if (result_.closing) return EndTransaction();
  switch (answered) {
    case Awaits::kMail:
      if (MailRefused()) return EndTransaction();
      return AfterRcpt();
    case Awaits::kRcpt: return AfterRcpt();
    case Awaits::kData: return AfterData();
    case Awaits::kFinal:
    case Awaits::kLoneDot: break;
  }
  return EndTransaction();
}

ClientSession::Want ClientSession::AfterRcpt() {
  if (rcpt_sent_ < mail_.recipients.size()) {
    AppendRcpt(&commands_);
    output_ = {commands_};
    UpdateStep();
    return Want::kWrite;
  }
  if (MailRefused() || !AnyRecipient()) return EndTransaction();
  if (extensions_.chunking) return SendBody();
  return SendLine("DATA\r\n", Awaits::kData);
}

// A server may say 354 although it refused the sender or every recipient of a pipelined envelope: then only a lone dot
// leads back (RFC 2920 §3.1), and no body goes to a server that may take what it refused.
ClientSession::Want ClientSession::AfterData() {
  if (!result_.data->Intermediate()) return EndTransaction();
  if (!MailRefused() && AnyRecipient()) return SendBody();
  return SendLine(".\r\n", Awaits::kLoneDot);
}

ClientSession::Want ClientSession::SendLine(absl::string_view line, Awaits awaits) {
  commands_ = std::string(line);
  output_ = {commands_};
  awaited_.push_back(awaits);
  UpdateStep();
  return Want::kWrite;
}

// The result is complete. It failed at the first step whose answer forbade the rest.
ClientSession::Want ClientSession::EndTransaction() {
  if (result_.final) {
    if (!result_.final->Positive()) result_.failed_at = body_more_ ? Step::kBody : Step::kDot;
  } else if (MailRefused()) {
    result_.failed_at = Step::kMail;
  } else {
    result_.failed_at = AnyRecipient() ? Step::kData : Step::kRcpt;
  }
  // DATA's final reply ends the transaction whatever it is; a refused BDAT leaves it open (RFC 3030 §2).
  owes_rset_ = result_.failed_at.has_value() && !(result_.final && !extensions_.chunking);
  state_ = State::kIdle;
  return result_.closing ? Close("") : Want::kIdle;
}

void ClientSession::UpdateStep() {
  if (answered_ == awaited_.size()) return;
  switch (awaited_[answered_]) {
    case Awaits::kMail: step_ = Step::kMail; break;
    case Awaits::kRcpt: step_ = Step::kRcpt; break;
    case Awaits::kData: step_ = Step::kData; break;
    case Awaits::kFinal: step_ = output_.empty() ? Step::kDot : Step::kBody; break;
    case Awaits::kLoneDot: step_ = Step::kDot; break;
  }
}

ClientSession::Want ClientSession::Quit() {
  HIKYAKU_CHECK(state_ == State::kIdle);
  state_ = State::kQuitting;
  step_ = Step::kQuit;
  commands_ = "QUIT\r\n";
  output_ = {commands_};
  return Want::kWrite;
}

ClientSession::Want ClientSession::Lost(absl::string_view why) {
  if (state_ == State::kClosed) return Want::kClose;
  if (state_ == State::kIdle) return Close(std::string(why));
  return Close(absl::StrCat(why, " at ", StepName(step_), parser_.InsideReply() ? ", inside a reply" : ""));
}

ClientSession::Want ClientSession::Close(std::string why) {
  if (state_ == State::kTransaction || state_ == State::kReset) {
    result_.failed_at = step_;
    result_.broke = why;
  }
  broke_ = std::move(why);
  state_ = State::kClosed;
  output_.clear();
  output_commits_ = false;
  return Want::kClose;
}

}  // namespace hikyaku::smtp
