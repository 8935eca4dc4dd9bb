#include "lib/dsn/status_part.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/utf8.h"
#include "lib/dsn/options.h"
#include "lib/mime/encoding.h"
#include "lib/mime/text.h"

namespace hikyaku::dsn {
namespace {

constexpr std::size_t kMaxText = 900;  // A line of a message has at most 998 characters.
constexpr std::size_t kMinText = 64;
constexpr std::size_t kFold = 76;
constexpr char kExpired[] = "4.4.7";  // Delivery time expired (RFC 3463 §3.5): our own status.

std::string Ascii(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto c = TakeUtf8(text);
    out.push_back(c.has_value() && *c >= 0x20 && *c < 0x7f ? static_cast<char>(*c) : '?');
  }
  return out;
}

// "Name: value", folded between words.
void AppendField(absl::string_view name, absl::string_view value, std::string* out) {
  absl::StrAppend(out, name, ":");
  std::size_t column = name.size() + 1;
  while (!value.empty()) {
    const absl::string_view word = value.substr(0, value.find(' '));
    value.remove_prefix(std::min(word.size() + 1, value.size()));
    if (word.empty()) continue;
    if (column + 1 + word.size() > kFold && column > name.size() + 1) {
      absl::StrAppend(out, "\r\n   ");
      column = 3;
    }
    absl::StrAppend(out, " ", word);
    column += 1 + word.size();
  }
  absl::StrAppend(out, "\r\n");
}

// Mail that expired tells the peer's last reply within words of ours: no "actual reply" of RFC 3464 §2.3.6 any more.
bool IsPeersReply(const ReportedRecipient& recipient) {
  return recipient.smtp_code > 0 && recipient.status != kExpired;
}

std::string FinalRecipient(const std::string& address, bool utf8) {
  if (mime::IsAscii(address)) return absl::StrCat("rfc822; ", address);
  return absl::StrCat("utf-8; ", utf8 ? address : EncodeUnicode(address));
}

void AppendRecipient(const Report& report, const ReportedRecipient& recipient, std::size_t limit, bool utf8,
                     std::string* out) {
  const auto plain = [utf8](const std::string& text) { return utf8 ? text : Ascii(text); };
  absl::StrAppend(out, "\r\n");
  if (!recipient.original_recipient.empty()) {
    AppendField("Original-Recipient", OriginalRecipientField(recipient.original_recipient, utf8), out);
  }
  AppendField("Final-Recipient", FinalRecipient(recipient.address, utf8), out);
  AppendField("Action", ActionName(report.action), out);
  AppendField("Status", recipient.status, out);
  if (!recipient.remote_host.empty()) {
    AppendField("Remote-MTA", absl::StrCat("dns; ", Ascii(HostName(recipient.remote_host))), out);
  }
  AppendField("Diagnostic-Code",
              absl::StrCat(IsPeersReply(recipient) ? "smtp; " : "x-hikyaku; ", plain(Said(recipient, limit))), out);
  if (recipient.last_attempt != absl::InfinitePast()) {
    AppendField("Last-Attempt-Date", mime::FormatDate(recipient.last_attempt), out);
  }
  if (report.action == Action::kDelayed) {
    AppendField("Will-Retry-Until", mime::FormatDate(report.retry_until), out);
  }
}

}  // namespace

std::size_t TextLimit(const Report& report) {
  const std::size_t recipients = std::max<std::size_t>(report.recipients.size(), 1);
  return std::clamp(kMaxTexts / recipients, kMinText, kMaxText);
}

std::string Said(const ReportedRecipient& recipient, std::size_t limit) {
  const absl::string_view text = CutUtf8(recipient.text, limit);
  if (recipient.smtp_code == 0) return std::string(text);
  const bool theirs = IsPeersReply(recipient) && !recipient.status.empty() &&
                      recipient.status[0] - '0' == recipient.smtp_code / 100;
  return absl::StrCat(recipient.smtp_code, " ", theirs ? absl::StrCat(recipient.status, " ") : "", text);
}

absl::string_view HostName(absl::string_view remote_host) {
  if (absl::StartsWith(remote_host, "[")) return remote_host.substr(0, remote_host.find(']') + 1);
  return remote_host.substr(0, remote_host.find(' '));
}

std::string StatusPart(const Report& report, bool utf8) {
  std::string out;
  AppendField("Reporting-MTA", absl::StrCat("dns; ", report.hostname), &out);
  if (!report.envelope_id.empty()) {
    AppendField("Original-Envelope-Id", DecodeXtext(report.envelope_id).value_or(report.envelope_id), &out);
  }
  AppendField("Arrival-Date", mime::FormatDate(report.arrival), &out);
  const std::size_t limit = TextLimit(report);
  const std::size_t listed = std::min(report.recipients.size(), kMaxRecipients);
  for (std::size_t i = 0; i < listed; ++i) AppendRecipient(report, report.recipients[i], limit, utf8, &out);
  return out;
}

}  // namespace hikyaku::dsn
