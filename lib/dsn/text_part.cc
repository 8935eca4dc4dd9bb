#include "lib/dsn/text_part.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/utf8.h"
#include "lib/dsn/status_part.h"
#include "lib/mime/encoding.h"

namespace hikyaku::dsn {
namespace {

constexpr std::size_t kWidth = 76;

// `text` in lines of at most kWidth, broken between words; each begins with `indent`.
void AppendWrapped(absl::string_view text, absl::string_view indent, std::string* out) {
  std::size_t column = 0;
  while (!text.empty()) {
    absl::string_view word = text.substr(0, text.find(' '));
    // One that fills lines by itself is cut between two characters.
    if (word.size() > kWidth) word = CutUtf8(word, kWidth - indent.size());
    text.remove_prefix(word.size());
    if (absl::StartsWith(text, " ")) text.remove_prefix(1);
    if (word.empty()) continue;
    if (column != 0 && column + 1 + word.size() > kWidth) {
      absl::StrAppend(out, "\r\n");
      column = 0;
    }
    absl::StrAppend(out, column == 0 ? indent : absl::string_view(" "), word);
    column += (column == 0 ? indent.size() : 1) + word.size();
  }
  absl::StrAppend(out, "\r\n");
}

std::string Opening(const Report& report) {
  switch (report.action) {
    case Action::kFailed:
      return "Your message could not be delivered to the recipients below. It will not be tried again for them.";
    case Action::kDelayed:
      return absl::StrCat(
          "Your message could not be delivered yet to the recipients below. You need not send it again: it will be "
          "tried "
          "until ",
          mime::FormatDate(report.retry_until), ". If it fails for good, you will be told.");
    case Action::kRelayed:
      return "Your message was handed to the mail host of the recipients below. That host sends no reports of success: "
             "you may get no other word of it.";
    case Action::kDelivered: return "Your message was delivered to the recipients below.";
    case Action::kExpanded: return "Your message was delivered to the lists below.";
  }
  return "";
}

// By the subject and detail of RFC 3463, what a person may try.
absl::string_view Advice(absl::string_view status) {
  if (status == "4.4.7")
    return "The recipient's mail hosts did not take it in time. Try again later, or ask another way.";
  if (absl::EndsWith(status, ".1.10") || absl::EndsWith(status, ".1.2")) {
    return "Check the part of the address after the @: it takes no mail.";
  }
  if (absl::EndsWith(status, ".2.2")) return "The mailbox is full: try again later, or tell the recipient another way.";
  if (absl::EndsWith(status, ".2.3") || absl::EndsWith(status, ".3.4")) return "Send less, or a link instead of files.";
  if (absl::StrContains(status.substr(0, 4), ".1.") || absl::EndsWith(status, ".2.1")) {
    return "Check the address for mistakes, or ask the recipient for the right one.";
  }
  if (absl::StrContains(status.substr(0, 4), ".7.")) {
    return "The recipient's host refused it by its rules: ask its postmaster, or yours, and show them this report.";
  }
  return "If you cannot tell why, show this report to your postmaster.";
}

void AppendRecipient(const Report& report, const ReportedRecipient& recipient, std::size_t limit, std::string* out) {
  std::string head = absl::StrCat("<", recipient.address, ">:");
  if (recipient.smtp_code > 0) absl::StrAppend(&head, " ", HostName(recipient.remote_host), " said");
  absl::StrAppend(out, "\r\n");
  AppendWrapped(head, "", out);
  AppendWrapped(
      absl::StrCat(Said(recipient, limit), recipient.smtp_code > 0 ? "" : absl::StrCat(" (", recipient.status, ")")),
      "    ", out);
  if (report.action == Action::kFailed) AppendWrapped(Advice(recipient.status), "    ", out);
}

}  // namespace

absl::string_view Subject(Action action) {
  switch (action) {
    case Action::kFailed: return "Undelivered Mail Returned to Sender";
    case Action::kDelayed: return "Delayed Mail (still being tried)";
    case Action::kDelivered:
    case Action::kRelayed:
    case Action::kExpanded: return "Successful Mail Delivery Report";
  }
  return "";
}

std::string TextPart(const Report& report) {
  std::string out;
  AppendWrapped(absl::StrCat("This is the mail system at ", report.hostname, "."), "", &out);
  absl::StrAppend(&out, "\r\n");
  AppendWrapped(Opening(report), "", &out);
  const std::size_t shown = std::min(report.recipients.size(), kShownRecipients);
  for (std::size_t i = 0; i < shown; ++i) AppendRecipient(report, report.recipients[i], TextLimit(report), &out);
  if (report.recipients.size() > shown) {
    const std::size_t listed = std::min(report.recipients.size(), kMaxRecipients);
    absl::StrAppend(&out, "\r\n");
    AppendWrapped(absl::StrCat("And ", report.recipients.size() - shown, " more: the next part of this mail lists ",
                               listed == report.recipients.size() ? "all" : absl::StrCat(listed), " of ",
                               report.recipients.size(), "."),
                  "", &out);
  }
  return out;
}

}  // namespace hikyaku::dsn
