#include "lib/dsn/report.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/dsn/status_part.h"
#include "lib/dsn/text_part.h"
#include "lib/mime/downgrade.h"
#include "lib/mime/encoding.h"
#include "lib/mime/field_writer.h"
#include "lib/mime/text.h"

namespace hikyaku::dsn {
namespace {

constexpr std::size_t kMaxMessageId = 250;

// With its last CRLF, without the empty line.
absl::string_view HeaderOf(absl::string_view message) {
  if (absl::StartsWith(message, "\r\n")) return "";
  const std::size_t end = message.find("\r\n\r\n");
  return end == absl::string_view::npos ? message : message.substr(0, end + 2);
}

// Whole lines of at most kMaxHeader.
absl::string_view CutHeader(absl::string_view header) {
  if (header.size() <= kMaxHeader) return header;
  const std::size_t end = header.substr(0, kMaxHeader).rfind("\r\n");
  return header.substr(0, end == absl::string_view::npos ? 0 : end + 2);
}

// The id of a message from outside may be anything.
bool IsPlainMessageId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxMessageId &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '<' && c != '>'; });
}

struct Part {
  std::string type;
  absl::string_view encoding;  // Empty: 7bit, which need not be said.
  std::string content;
};

Part Words(const Report& report) {
  const std::string text = TextPart(report);
  const mime::Encoding encoding = mime::ChooseEncoding(text);
  Part part{absl::StrCat("text/plain; charset=", mime::IsAscii(text) ? "us-ascii" : "utf-8"), "", ""};
  if (encoding != mime::Encoding::k7Bit) part.encoding = mime::EncodingName(encoding);
  mime::AppendEncoded(encoding, text, &part.content);
  return part;
}

// What of the original goes back, and as what.
Part Returned(const Report& report) {
  const absl::string_view header = HeaderOf(report.original);
  const bool full = !report.headers_only && report.original.size() <= report.full_up_to;
  if (!mime::IsAscii(header)) {
    return {full ? "message/global" : "message/global-headers", "8bit",
            std::string(full ? report.original : CutHeader(header))};
  }
  if (full) {
    if (mime::IsAscii(report.original)) return {"message/rfc822", "", std::string(report.original)};
    if (auto converted = mime::Downgrade8Bit(report.original); converted.ok()) {
      return {"message/rfc822", "", *std::move(converted)};
    }
  }
  return {"text/rfc822-headers", "", std::string(CutHeader(header))};
}

void AppendHeader(const Report& report, const std::string& boundary, std::string* out) {
  const auto field = [out](absl::string_view name, absl::string_view word) {
    mime::FieldWriter writer(name, out);
    writer.Word(word);
    writer.End();
  };
  field("Date", mime::FormatDate(report.date));
  mime::FieldWriter from("From", out);
  from.Phrase("Mail Delivery System");
  from.Word(absl::StrCat("<", report.from, ">"));
  from.End();
  field("To", absl::StrCat("<", report.to, ">"));
  *out += mime::FoldUnstructured("Subject", Subject(report.action));
  field("Message-ID", absl::StrCat("<", report.message_id, ">"));
  if (IsPlainMessageId(report.original_message_id)) {
    const std::string original = absl::StrCat("<", report.original_message_id, ">");
    field("In-Reply-To", original);
    field("References", original);
  }
  field("Auto-Submitted", "auto-replied");
  field("MIME-Version", "1.0");
  mime::FieldWriter type("Content-Type", out);
  type.Word("multipart/report");
  type.Parameter("report-type", "delivery-status");
  type.Parameter("boundary", boundary);
  type.End();
}

void AppendPart(const Part& part, absl::string_view description, const std::string& boundary, std::string* out) {
  absl::StrAppend(out, "--", boundary, "\r\nContent-Description: ", description, "\r\nContent-Type: ", part.type,
                  "\r\n");
  if (!part.encoding.empty()) absl::StrAppend(out, "Content-Transfer-Encoding: ", part.encoding, "\r\n");
  absl::StrAppend(out, "\r\n", part.content);
  if (!absl::EndsWith(part.content, "\r\n")) *out += "\r\n";
  *out += "\r\n";
}

}  // namespace

absl::string_view ActionName(Action action) {
  switch (action) {
    case Action::kFailed: return "failed";
    case Action::kDelayed: return "delayed";
    case Action::kDelivered: return "delivered";
    case Action::kRelayed: return "relayed";
    case Action::kExpanded: return "expanded";
  }
  return "failed";
}

BuiltReport BuildReport(const Report& report) {
  HIKYAKU_CHECK(!report.to.empty() && !report.recipients.empty());
  BuiltReport built;
  built.smtputf8 = !mime::IsAscii(report.to);
  const bool utf8 = report.smtputf8 || built.smtputf8;
  const std::string boundary = absl::StrCat("report-", report.boundary_token);
  const std::string status = StatusPart(report, utf8);
  const bool global = !mime::IsAscii(status);

  std::string body;
  AppendPart(Words(report), "Notification", boundary, &body);
  AppendPart({global ? "message/global-delivery-status" : "message/delivery-status", global ? "8bit" : "", status},
             "Delivery report", boundary, &body);
  if (!report.original.empty()) {
    const bool failed = report.action == Action::kFailed;
    AppendPart(Returned(report), failed ? "Undelivered message" : "Message", boundary, &body);
  }
  absl::StrAppend(&body, "--", boundary, "--\r\n");

  built.eight_bit = !mime::IsAscii(body);
  AppendHeader(report, boundary, &built.bytes);
  // RFC 2045 §6.4: what holds 8-bit parts says so.
  if (built.eight_bit) built.bytes += "Content-Transfer-Encoding: 8bit\r\n";
  absl::StrAppend(&built.bytes, "\r\n", body);
  built.eight_bit |= built.smtputf8;
  return built;
}

}  // namespace hikyaku::dsn
