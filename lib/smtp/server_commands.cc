// What each command of the table does (RFC 5321 §4.1.1).
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/address/address.h"
#include "lib/smtp/command.h"
#include "lib/smtp/reply.h"
#include "lib/smtp/server_session.h"

namespace hikyaku::smtp {
namespace {

// A domain or a literal by the RFC; clients send all sorts of names, and they are worth nothing as evidence. So any
// name passes that can stand in a Received field as it is.
bool IsHelloName(absl::string_view name) {
  constexpr absl::string_view kNever = "<>()\"\\;,";
  return !name.empty() && name.size() <= ServerSession::kMaxHello &&
         std::all_of(name.begin(), name.end(), [&](unsigned char c) {
           return absl::ascii_isgraph(c) && kNever.find(c) == absl::string_view::npos;
         });
}

Reply NoArguments(absl::string_view verb) { return {501, "5.5.4", absl::StrCat("Syntax: ", verb)}; }

}  // namespace

std::optional<Reply> ServerPolicy::CheckMail(const Transaction& transaction) { return std::nullopt; }

std::optional<Reply> ServerPolicy::CheckRcpt(const Transaction& transaction, const address::Address& recipient) {
  if (!recipient.literal) return std::nullopt;
  return Reply{550, "5.1.2", "Mail to address literals is not accepted"};
}

std::optional<Reply> ServerPolicy::CheckData(const Transaction& transaction) { return std::nullopt; }

Reply ServerSession::Ehlo(const Command& command) { return Hello(command.args, true); }

Reply ServerSession::Helo(const Command& command) { return Hello(command.args, false); }

Reply ServerSession::Hello(absl::string_view name, bool esmtp) {
  if (!IsHelloName(name)) return {501, "5.5.4", absl::StrCat("Syntax: ", esmtp ? "EHLO" : "HELO", " hostname")};
  helo_ = std::string(name);
  esmtp_ = esmtp;
  ResetTransaction();  // RFC 5321 §4.1.4: as if RSET had been said.
  if (!esmtp) return {250, "", options_.hostname};
  return {250, "",
          absl::StrCat(options_.hostname, "\nPIPELINING\nSIZE ", options_.max_size,
                       "\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\nENHANCEDSTATUSCODES")};
}

Reply ServerSession::Mail(const Command& command) {
  std::variant<MailCommand, Reply> parsed = ParseMail(command.args);
  if (Reply* refusal = std::get_if<Reply>(&parsed)) return *std::move(refusal);
  MailCommand& mail = std::get<MailCommand>(parsed);
  if (mail.size > options_.max_size) {
    const Reply too_large{552, "5.3.4", "Message too large"};
    policy_->MessageRefused(too_large);
    return too_large;
  }
  transaction_.sender = std::move(mail.sender);
  transaction_.eight_bit = mail.eight_bit;
  transaction_.smtputf8 = mail.smtputf8;
  transaction_.declared_size = mail.size;
  transaction_.returned = mail.returned;
  transaction_.envelope_id = std::move(mail.envelope_id);
  if (std::optional<Reply> refusal = policy_->CheckMail(transaction_)) {
    ResetTransaction();
    return *std::move(refusal);
  }
  return {250, "2.1.0", "Sender OK"};
}

Reply ServerSession::Rcpt(const Command& command) {
  std::variant<RcptCommand, Reply> read = ReadRcpt(command);
  if (Reply* refusal = std::get_if<Reply>(&read)) {
    policy_->RecipientRefused(*refusal);
    return *std::move(refusal);
  }
  RcptCommand& rcpt = std::get<RcptCommand>(read);
  if (std::optional<Reply> refusal = policy_->CheckRcpt(transaction_, rcpt.recipient)) return *std::move(refusal);
  transaction_.recipients.push_back(
      {std::move(rcpt.recipient), std::move(rcpt.original), rcpt.notify, std::move(rcpt.original_recipient)});
  return {250, "2.1.5", "Recipient OK"};
}

// To a client that may not relay every recipient is the same: the answer tells nothing, and no spelling of an address
// is even parsed that another server might read as a route.
std::variant<RcptCommand, Reply> ServerSession::ReadRcpt(const Command& command) const {
  if (!options_.may_relay) return Reply{550, "5.7.1", "Relaying denied"};
  std::variant<RcptCommand, Reply> parsed = ParseRcpt(command.args, transaction_.smtputf8);
  const RcptCommand* rcpt = std::get_if<RcptCommand>(&parsed);
  if (rcpt == nullptr) return parsed;
  if (rcpt->bare_postmaster) return Reply{550, "5.1.1", "There are no local mailboxes here"};
  if (transaction_.recipients.size() >= options_.max_recipients) return Reply{452, "4.5.3", "Too many recipients"};
  return parsed;
}

Reply ServerSession::Data(const Command& command) {
  if (!command.args.empty()) return NoArguments("DATA");
  if (std::optional<Reply> refusal = policy_->CheckData(transaction_)) return *std::move(refusal);
  return {354, "", "End data with <CR><LF>.<CR><LF>"};
}

Reply ServerSession::NoRecipients(const Command& command) { return {503, "5.5.1", "No valid recipients"}; }

Reply ServerSession::Rset(const Command& command) {
  if (!command.args.empty()) return NoArguments("RSET");
  ResetTransaction();
  return {250, "2.0.0", "OK"};
}

Reply ServerSession::Noop(const Command& command) { return {250, "2.0.0", "OK"}; }

// The same for every name (RFC 5321 §7.3): nobody learns here who exists.
Reply ServerSession::Vrfy(const Command& command) {
  if (command.args.empty()) return NoArguments("VRFY address");
  return {252, "2.5.0", "Send the mail, and see"};
}

Reply ServerSession::Help(const Command& command) {
  return {214, "2.0.0", "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY QUIT: see RFC 5321"};
}

Reply ServerSession::Quit(const Command& command) {
  if (!command.args.empty()) return NoArguments("QUIT");
  return {221, "2.0.0", "Bye"};
}

Reply ServerSession::NotOffered(const Command& command) { return {502, "5.5.1", "Not available here"}; }

}  // namespace hikyaku::smtp
