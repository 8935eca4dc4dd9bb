// A command line is read as one command or as none; what its arguments say can be said again, and what refuses them is
// a reply that may be sent.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <variant>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/smtp/command.h"
#include "tests/fuzz/oracle.h"

namespace {

using namespace hikyaku::smtp;  // NOLINT(google-build-using-namespace): the file is about nothing else.

void CheckRefusal(const Reply& reply, std::initializer_list<int> codes) {
  bool known = false;
  for (const int code : codes) known = known || reply.code == code;
  HIKYAKU_CHECK(known);
  HIKYAKU_CHECK(hikyaku::fuzz::IsRowOfReplies(FormatReply(reply)));
}

void CheckAddress(const std::string& written) {
  for (const char c : written) HIKYAKU_CHECK(!hikyaku::fuzz::IsControl(c));
}

// What goes on to the next host: printable ASCII, whatever came in.
std::string SaidAgain(const std::string& parameters) {
  for (const char c : parameters) HIKYAKU_CHECK(c >= 0x20 && c < 0x7f);
  return parameters.empty() ? "" : absl::StrCat(" ", parameters);
}

void CheckMail(absl::string_view args) {
  const auto parsed = ParseMail(args);
  if (const auto* reply = std::get_if<Reply>(&parsed)) return CheckRefusal(*reply, {501, 553, 555});
  const MailCommand& mail = std::get<MailCommand>(parsed);
  const std::string sender = mail.sender.ToString();
  CheckAddress(sender);
  HIKYAKU_CHECK(mail.smtputf8 || !mail.sender.NeedsSmtpUtf8());
  const std::string again = absl::StrCat("FROM:<", sender, ">", mail.size > 0 ? absl::StrCat(" SIZE=", mail.size) : "",
                                         mail.eight_bit ? " BODY=8BITMIME" : "", mail.smtputf8 ? " SMTPUTF8" : "",
                                         SaidAgain(hikyaku::dsn::MailParameters(mail.returned, mail.envelope_id)));
  const auto second = ParseMail(again);
  HIKYAKU_CHECK(std::holds_alternative<MailCommand>(second));
  const MailCommand& same = std::get<MailCommand>(second);
  HIKYAKU_CHECK(same.sender == mail.sender && same.size == mail.size && same.eight_bit == mail.eight_bit &&
                same.smtputf8 == mail.smtputf8 && same.returned == mail.returned &&
                same.envelope_id == mail.envelope_id);
}

void CheckRcpt(absl::string_view args, bool smtputf8) {
  const auto parsed = ParseRcpt(args, smtputf8);
  if (const auto* reply = std::get_if<Reply>(&parsed)) return CheckRefusal(*reply, {501, 553, 555});
  const RcptCommand& rcpt = std::get<RcptCommand>(parsed);
  const std::string recipient = rcpt.recipient.ToString();
  CheckAddress(recipient);
  CheckAddress(rcpt.original);
  HIKYAKU_CHECK(!recipient.empty() && (smtputf8 || !rcpt.recipient.NeedsSmtpUtf8()));
  HIKYAKU_CHECK(rcpt.bare_postmaster == rcpt.recipient.domain.empty());
  for (const std::string& path : {recipient, rcpt.original}) {
    const auto again = ParseRcpt(
        absl::StrCat("TO:<", path, ">", SaidAgain(hikyaku::dsn::RcptParameters(rcpt.notify, rcpt.original_recipient))),
        smtputf8);
    HIKYAKU_CHECK(std::holds_alternative<RcptCommand>(again));
    const RcptCommand& same = std::get<RcptCommand>(again);
    HIKYAKU_CHECK(same.recipient == rcpt.recipient && same.notify == rcpt.notify &&
                  same.original_recipient == rcpt.original_recipient);
  }
}

void CheckBdat(absl::string_view args) {
  const auto parsed = ParseBdat(args);
  if (const auto* reply = std::get_if<Reply>(&parsed)) return CheckRefusal(*reply, {501, 552});
  const BdatCommand& bdat = std::get<BdatCommand>(parsed);
  // The number stands in the line, digit for digit but for zeros before it.
  HIKYAKU_CHECK(absl::StrContains(args, std::to_string(bdat.size)));
  HIKYAKU_CHECK(bdat.last == absl::StrContains(absl::AsciiStrToLower(args), "last"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view line(reinterpret_cast<const char*>(data), size);
  const Command command = ParseCommand(line);
  const absl::string_view args = command.args;
  if (command.verb != Verb::kUnknown && !args.empty()) {
    const std::less_equal<const char*> before;
    HIKYAKU_CHECK(before(line.data(), args.data()) && before(args.data() + args.size(), line.data() + line.size()));
    HIKYAKU_CHECK(args.front() != ' ' && args.back() != ' ' && args.front() != '\t' && args.back() != '\t');
  }
  for (const char c : line) {
    if (hikyaku::fuzz::IsControl(c) && c != '\t') HIKYAKU_CHECK(command.verb == Verb::kUnknown);
  }
  switch (command.verb) {
    case Verb::kMail: CheckMail(args); break;
    case Verb::kRcpt:
      CheckRcpt(args, false);
      CheckRcpt(args, true);
      break;
    case Verb::kBdat: CheckBdat(args); break;
    default: break;
  }
  return 0;
}
