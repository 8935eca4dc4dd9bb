#include "services/hikyaku/send_request.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/address/mailbox.h"
#include "lib/base/status_macros.h"
#include "lib/base/units.h"

namespace hikyaku::cli {
namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 30;  // No server takes more.

constexpr std::pair<absl::string_view, absl::string_view> kTypes[] = {
    {".txt", "text/plain; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".html", "text/html; charset=utf-8"},
    {".pdf", "application/pdf"},
    {".json", "application/json"},
    {".xml", "application/xml"},
    {".zip", "application/zip"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
};

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const {
      if (file != stdin) std::fclose(file);
    }
  };
  const std::unique_ptr<std::FILE, Close> file(path == "-" ? stdin : std::fopen(path.c_str(), "re"));
  if (file == nullptr) return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string content;
  char buffer[64 << 10];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    if (content.size() + n > kMaxFile) return absl::InvalidArgumentError(absl::StrCat(path, ": is larger than 1GiB"));
    content.append(buffer, n);
  }
  if (std::ferror(file.get())) return absl::InvalidArgumentError(absl::StrCat(path, ": ", std::strerror(errno)));
  return content;
}

// "Name <a@b>" is taken apart; everything else is left to the server, which says what is wrong with it.
void SetMailbox(const std::string& text, v1::Mailbox* mailbox) {
  const absl::StatusOr<address::Mailbox> parsed = address::ParseMailbox(text);
  if (parsed.ok() && absl::StrContains(text, "<")) {
    mailbox->set_address(parsed->address.ToString());
    mailbox->set_display_name(parsed->display_name);
  } else {
    mailbox->set_address(text);
  }
}

absl::Status AddAttachment(const std::string& path, v1::Content* content) {
  v1::Attachment& attachment = *content->add_attachments();
  ASSIGN_OR_RETURN(*attachment.mutable_content(), ReadFile(path));
  attachment.set_filename(path.substr(path.find_last_of('/') + 1));
  attachment.set_content_type("application/octet-stream");
  for (const auto& [ending, type] : kTypes) {
    if (absl::EndsWithIgnoreCase(path, ending)) attachment.set_content_type(std::string(type));
  }
  return absl::OkStatus();
}

absl::Status AddHeader(const std::string& text, v1::Content* content) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0) {
    return absl::InvalidArgumentError(absl::StrCat("--header \"", text, "\": write it as 'Name: value'"));
  }
  v1::Header& header = *content->add_headers();
  header.set_name(text.substr(0, colon));
  header.set_value(std::string(absl::StripLeadingAsciiWhitespace(absl::string_view(text).substr(colon + 1))));
  return absl::OkStatus();
}

absl::Status SetContent(const MailFlags& flags, v1::Content* content) {
  if (!flags.rcpt.empty()) return absl::InvalidArgumentError("--rcpt goes with --raw: write --to, --cc or --bcc");
  if (flags.text.empty() && flags.html.empty() && flags.attach.empty()) {
    return absl::InvalidArgumentError("there is nothing to send: give --text, --html, --attach or --raw");
  }
  SetMailbox(flags.from, content->mutable_from());
  for (const std::string& to : flags.to) SetMailbox(to, content->add_to());
  for (const std::string& cc : flags.cc) SetMailbox(cc, content->add_cc());
  for (const std::string& bcc : flags.bcc) SetMailbox(bcc, content->add_bcc());
  for (const std::string& reply_to : flags.reply_to) SetMailbox(reply_to, content->add_reply_to());
  content->set_subject(flags.subject);
  content->set_text(flags.text);
  content->set_html(flags.html);
  for (const std::string& path : flags.attach) RETURN_IF_ERROR(AddAttachment(path, content));
  for (const std::string& header : flags.headers) RETURN_IF_ERROR(AddHeader(header, content));
  return absl::OkStatus();
}

absl::Status SetRaw(const MailFlags& flags, v1::RawMessage* raw) {
  const bool content = !flags.text.empty() || !flags.html.empty() || !flags.attach.empty() || !flags.headers.empty() ||
                       !flags.subject.empty();
  if (content || !flags.cc.empty() || !flags.bcc.empty() || !flags.reply_to.empty()) {
    return absl::InvalidArgumentError(
        "--raw is a whole message: of the others, only --from, --rcpt and --to go with it");
  }
  ASSIGN_OR_RETURN(*raw->mutable_data(), ReadFile(flags.raw));
  for (const std::string& rcpt : flags.rcpt) raw->add_recipients(rcpt);
  for (const std::string& to : flags.to) raw->add_recipients(to);
  return absl::OkStatus();
}

v1::Priority PriorityFrom(const std::string& text) {
  if (text == "high") return v1::PRIORITY_HIGH;
  if (text == "normal") return v1::PRIORITY_NORMAL;
  if (text == "bulk") return v1::PRIORITY_BULK;
  return v1::PRIORITY_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<v1::SendMailRequest> MakeRequest(const MailFlags& flags, absl::Time now) {
  v1::SendMailRequest request;
  if (flags.to.empty() && flags.cc.empty() && flags.bcc.empty() && flags.rcpt.empty()) {
    return absl::InvalidArgumentError("there is no recipient: give --to (or --rcpt with --raw)");
  }
  if (flags.raw.empty()) {
    RETURN_IF_ERROR(SetContent(flags, request.mutable_content()));
    request.set_envelope_sender(flags.envelope_sender);
  } else {
    RETURN_IF_ERROR(SetRaw(flags, request.mutable_raw()));
    request.set_envelope_sender(flags.envelope_sender.empty() ? flags.from : flags.envelope_sender);
  }
  request.set_tenant(flags.tenant);
  request.set_stream(flags.stream);
  for (const std::string& tag : flags.tags) request.add_tags(tag);
  request.set_idempotency_key(flags.idempotency_key);
  for (const std::string& what : flags.notify) {
    if (what == "success") request.mutable_dsn()->set_notify_success(true);
    if (what == "failure") request.mutable_dsn()->set_notify_failure(true);
    if (what == "delay") request.mutable_dsn()->set_notify_delay(true);
  }
  request.set_priority(PriorityFrom(flags.priority));
  request.set_require_tls(flags.require_tls);
  request.set_dry_run(flags.dry_run);
  if (!flags.not_before.empty()) {
    ASSIGN_OR_RETURN(const absl::Duration delay, ParseDuration(flags.not_before));
    const std::int64_t millis = absl::ToUnixMillis(now + delay);
    request.mutable_not_before()->set_seconds(millis / 1000);
    request.mutable_not_before()->set_nanos(static_cast<int>(millis % 1000) * 1'000'000);
  }
  return request;
}

}  // namespace hikyaku::cli
