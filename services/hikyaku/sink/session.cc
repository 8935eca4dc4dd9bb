#include "services/hikyaku/sink/session.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace hikyaku::sink {
namespace {

using smtp::Reply;
using smtp::Verb;

constexpr std::size_t kLongestLine = 998;  // RFC 5321 §4.5.3.1.6, without CRLF.

bool HasLongLine(absl::string_view data) {
  while (data.size() > kLongestLine) {
    const std::size_t end = data.find('\n');
    if (std::min(end, data.size()) > kLongestLine + 1) return true;
    data.remove_prefix(end + 1);
  }
  return false;
}

bool IsEightBit(absl::string_view data) {
  return std::any_of(data.begin(), data.end(), [](char c) { return (static_cast<unsigned char>(c) & 0x80) != 0; });
}

}  // namespace

Session::Session(SessionOptions options, Rules* rules, net::Endpoint local, Deliver deliver)
    : options_(std::move(options)), rules_(rules), local_(std::move(local)), deliver_(std::move(deliver)) {}

Session::Step Session::Start() {
  Step step;
  if (!Scripted(Stage::kConnect, {}, {220, "", absl::StrCat(options_.hostname, " ESMTP sink")}, &step))
    step.close = true;
  return step;
}

Session::Step Session::Take(absl::string_view* in) {
  if (state_ == State::kBody) return TakeData(in);
  if (in_chunk_) return TakeChunk(in);
  const std::size_t lf = in->find('\n');
  const absl::string_view part = in->substr(0, lf == absl::string_view::npos ? lf : lf + 1);
  if (line_.size() + part.size() > kMaxLine) {
    Step step = Say({500, "5.5.6", "Line too long"});
    step.close = true;
    return step;
  }
  absl::StrAppend(&line_, part);
  in->remove_prefix(part.size());
  if (lf == absl::string_view::npos) return {};
  const std::string line = std::exchange(line_, "");
  absl::string_view text = absl::string_view(line).substr(0, line.size() - 1);
  if (absl::EndsWith(text, "\r")) text.remove_suffix(1);
  return Command(text, !in->empty());
}

Session::Step Session::Command(absl::string_view line, bool more) {
  const smtp::Command command = smtp::ParseCommand(line);
  // RFC 2920 §3.1: without the offer the client waits for each reply. (Octets behind BDAT belong to it.)
  if (more && !options_.pipelining && command.verb != Verb::kBdat) mail_.faults.insert("pipelining");
  switch (command.verb) {
    case Verb::kEhlo:
    case Verb::kHelo: return Hello(command);
    case Verb::kMail: return MailFrom(command);
    case Verb::kRcpt: return RcptTo(command);
    case Verb::kData: return Data();
    case Verb::kBdat: return Bdat(command);
    case Verb::kStartTls: return StartTls(more);
    case Verb::kRset: Reset(); return Say({250, "2.0.0", "OK"});
    case Verb::kNoop: return Say({250, "2.0.0", "OK"});
    case Verb::kVrfy: return Say({252, "2.0.0", "Send it and see"});
    case Verb::kQuit: {
      Step step = Say({221, "2.0.0", "Bye"});
      step.close = true;
      return step;
    }
    default: return Say({500, "5.5.1", "Unknown command"});
  }
}

Session::Step Session::Hello(const smtp::Command& command) {
  Reset();
  mail_.helo = std::string(command.args.substr(0, 255));
  mail_.esmtp = command.verb == Verb::kEhlo;
  std::string text = options_.hostname;
  if (mail_.esmtp) {
    if (options_.pipelining) text += "\nPIPELINING";
    if (options_.eight_bit) text += "\n8BITMIME";
    if (options_.smtputf8) text += "\nSMTPUTF8";
    if (options_.chunking) text += "\nCHUNKING";
    if (options_.starttls && mail_.tls.empty()) text += "\nSTARTTLS";
    absl::StrAppend(&text, "\nSIZE ", options_.max_size, "\nENHANCEDSTATUSCODES");
  }
  Step step;
  if (Scripted(Stage::kEhlo, {}, {250, "", text}, &step)) state_ = State::kReady;
  return step;
}

// What stands behind it in the same read may be somebody else's (CVE-2011-0411): such a client is sent away.
Session::Step Session::StartTls(bool more) {
  if (!options_.starttls) return Say({500, "5.5.1", "STARTTLS is not offered"});
  if (!mail_.tls.empty() || state_ == State::kMail) return Say({503, "5.5.1", "Not now"});
  if (more) return Say({421, "4.7.0", "Wait for the answer to STARTTLS"});
  Step step = Say({220, "2.0.0", "Go on"});
  step.starttls = true;
  return step;
}

void Session::Secured(std::string tls) {
  mail_ = Mail();
  mail_.tls = std::move(tls);
  state_ = State::kStart;
}

Session::Step Session::MailFrom(const smtp::Command& command) {
  if (state_ != State::kReady) return Say({503, "5.5.1", "Not now"});
  std::variant<smtp::MailCommand, Reply> parsed = smtp::ParseMail(command.args);
  if (const Reply* reply = std::get_if<Reply>(&parsed)) return Say(*reply);
  smtp::MailCommand& mail = std::get<smtp::MailCommand>(parsed);
  if (mail.smtputf8 && !options_.smtputf8) return Say({555, "5.5.4", "SMTPUTF8 is not offered"});
  if (mail.eight_bit && !options_.eight_bit) return Say({555, "5.5.4", "8BITMIME is not offered"});
  if (mail.size > options_.max_size) return Say({552, "5.3.4", "Too large"});
  Step step;
  if (!Scripted(Stage::kMail, {}, {250, "2.1.0", "OK"}, &step)) return step;
  mail_.sender = std::move(mail.sender);
  mail_.eight_bit = mail.eight_bit;
  mail_.smtputf8 = mail.smtputf8;
  state_ = State::kMail;
  return step;
}

Session::Step Session::RcptTo(const smtp::Command& command) {
  if (state_ != State::kMail || mail_.chunked) return Say({503, "5.5.1", "Not now"});
  std::variant<smtp::RcptCommand, Reply> parsed = smtp::ParseRcpt(command.args, mail_.smtputf8);
  if (const Reply* reply = std::get_if<Reply>(&parsed)) return Say(*reply);
  if (mail_.recipients.size() >= options_.max_recipients) return Say({452, "4.5.3", "Too many recipients"});
  const address::Address& recipient = std::get<smtp::RcptCommand>(parsed).recipient;
  Step step;
  if (Scripted(Stage::kRcpt, {recipient}, {250, "2.1.5", "OK"}, &step)) mail_.recipients.push_back(recipient);
  return step;
}

Session::Step Session::Data() {
  if (state_ != State::kMail || mail_.chunked) return Say({503, "5.5.1", "Not now"});
  if (mail_.recipients.empty()) return Say({554, "5.5.1", "No valid recipients"});
  Step step;
  if (!Scripted(Stage::kData, mail_.recipients, {354, "", "Go on"}, &step)) return step;
  dots_ = smtp::DotReader(options_.max_size);
  state_ = State::kBody;
  return step;
}

Session::Step Session::TakeData(absl::string_view* in) {
  if (!dots_.Feed(in)) return {};
  if (dots_.bare_cr()) mail_.faults.insert("bare-cr");
  if (dots_.bare_lf()) mail_.faults.insert("bare-lf");
  if (dots_.nul()) mail_.faults.insert("nul");
  too_large_ = dots_.too_large();
  if (!too_large_) mail_.data = dots_.TakeData();
  return Finish();
}

Session::Step Session::Bdat(const smtp::Command& command) {
  const std::variant<smtp::BdatCommand, Reply> parsed = smtp::ParseBdat(command.args);
  const smtp::BdatCommand* bdat = std::get_if<smtp::BdatCommand>(&parsed);
  if (bdat == nullptr || !options_.chunking) {
    // The octets that follow cannot be told from commands.
    Step step = Say(bdat == nullptr ? std::get<Reply>(parsed) : Reply{500, "5.5.1", "CHUNKING is not offered"});
    step.close = true;
    return step;
  }
  in_chunk_ = true;
  chunk_left_ = bdat->size;
  chunk_last_ = bdat->last;
  chunk_answer_ = {};
  chunk_bad_ = false;
  if (state_ != State::kMail) {
    chunk_answer_ = Say({503, "5.5.1", "Not now"});
    chunk_bad_ = true;
  } else if (mail_.recipients.empty()) {
    chunk_answer_ = Say({554, "5.5.1", "No valid recipients"});
    chunk_bad_ = true;
  } else if (!mail_.chunked) {
    chunk_bad_ = !Scripted(Stage::kData, mail_.recipients, {250, "", ""}, &chunk_answer_);
  }
  mail_.chunked = mail_.chunked || !chunk_bad_;
  absl::string_view nothing;
  return chunk_left_ == 0 ? TakeChunk(&nothing) : Step();
}

Session::Step Session::TakeChunk(absl::string_view* in) {
  const std::size_t n = std::min<std::uint64_t>(chunk_left_, in->size());
  if (!chunk_bad_ && mail_.data.size() + n > options_.max_size) too_large_ = true;
  if (!chunk_bad_ && !too_large_) absl::StrAppend(&mail_.data, in->substr(0, n));
  in->remove_prefix(n);
  chunk_left_ -= n;
  if (chunk_left_ > 0) return {};
  in_chunk_ = false;
  if (chunk_bad_) {
    Step step = std::move(chunk_answer_);
    Reset();  // RFC 3030 §2: the transaction is over.
    return step;
  }
  if (!chunk_last_) {
    Step step = Say({250, "2.0.0", "Chunk taken"});
    step.delay = chunk_answer_.delay;
    return step;
  }
  const smtp::LineFaults faults = smtp::FindLineFaults(mail_.data);
  if (faults.bare_cr) mail_.faults.insert("bare-cr");
  if (faults.bare_lf) mail_.faults.insert("bare-lf");
  if (faults.nul) mail_.faults.insert("nul");
  return Finish();
}

// The message is complete: the moment of the final dot.
Session::Step Session::Finish() {
  state_ = State::kReady;
  Step step;
  if (too_large_) {
    step = Say({552, "5.3.4", "Too large"});
  } else if (const Answer answer = rules_->At(Stage::kDot, local_, mail_.recipients); answer.drop) {
    step.delay = answer.delay;
    step.drop = true;
  } else if (answer.refusal.has_value()) {
    step = Say(*answer.refusal);
    step.delay = answer.delay;
  } else {
    NoteFaults();
    const bool kept = deliver_(mail_);
    step = Say(kept ? Reply{250, "2.0.0", "OK taken"} : Reply{451, "4.3.0", "Cannot be kept"});
    step.delay = answer.delay;
    step.drop = answer.lose;
  }
  Reset();
  return step;
}

Session::Step Session::Say(const Reply& reply) {
  Step step;
  smtp::AppendReply(reply, &step.output);
  if (reply.code >= 400) ++refused_;
  step.close = reply.code == 421;
  return step;
}

bool Session::Scripted(Stage stage, const std::vector<address::Address>& recipients, const Reply& usual, Step* step) {
  const Answer answer = rules_->At(stage, local_, recipients);
  *step = Say(answer.refusal.value_or(usual));
  step->delay = answer.delay;
  step->drop = answer.drop;
  return !answer.drop && !answer.refusal.has_value();
}

void Session::Reset() {
  Mail next;
  next.helo = std::move(mail_.helo);
  next.esmtp = mail_.esmtp;
  next.tls = std::move(mail_.tls);
  mail_ = std::move(next);
  too_large_ = false;
  if (state_ != State::kStart) state_ = State::kReady;
}

void Session::NoteFaults() {
  if (HasLongLine(mail_.data)) mail_.faults.insert("long-line");
  if (!mail_.eight_bit && !mail_.smtputf8 && IsEightBit(mail_.data)) mail_.faults.insert("8bit");
}

}  // namespace hikyaku::sink
