#include "lib/tls_report/report_mail.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "lib/mime/encoding.h"
#include "lib/mime/field_writer.h"
#include "lib/tls_report/gzip.h"

namespace hikyaku::tls_report {
namespace {

absl::string_view DomainOf(absl::string_view address) { return address.substr(address.rfind('@') + 1); }

void AppendHeader(const ReportMail& mail, const std::string& boundary, std::string* out) {
  const auto field = [out](absl::string_view name, absl::string_view word) {
    mime::FieldWriter writer(name, out);
    writer.Word(word);
    writer.End();
  };
  const absl::string_view submitter = DomainOf(mail.from);
  field("Date", mime::FormatDate(mail.date));
  field("From", absl::StrCat("<", mail.from, ">"));
  mime::FieldWriter to("To", out);
  for (std::size_t i = 0; i < mail.to.size(); ++i) {
    to.Word(absl::StrCat("<", mail.to[i], ">"));
    if (i + 1 < mail.to.size()) to.Append(',');
  }
  to.End();
  mime::FieldWriter subject("Subject", out);
  for (const absl::string_view word :
       {absl::string_view("Report"), absl::string_view("Domain:"), absl::string_view(mail.frame.domain),
        absl::string_view("Submitter:"), submitter, absl::string_view("Report-ID:")}) {
    subject.Word(word);
  }
  subject.Word(absl::StrCat("<", mail.frame.report_id, ">"));
  subject.End();
  field("Message-ID", absl::StrCat("<", mail.message_id, ">"));
  field("TLS-Report-Domain", mail.frame.domain);
  field("TLS-Report-Submitter", submitter);
  field("TLS-Required", "No");
  field("Auto-Submitted", "auto-generated");
  field("MIME-Version", "1.0");
  mime::FieldWriter type("Content-Type", out);
  type.Word("multipart/report");
  type.Parameter("report-type", "tlsrpt");
  type.Parameter("boundary", boundary);
  type.End();
}

void AppendWords(const ReportMail& mail, std::string* out) {
  const std::string day = absl::FormatTime("%Y-%m-%d", mail.frame.day_start, absl::UTCTimeZone());
  absl::StrAppend(out, "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
                  "This is an aggregate report on TLS (RFC 8460): what became of the sessions\r\n",
                  "with the mail hosts of\r\n  ", mail.frame.domain, "\r\non ", day,
                  " (UTC). The attached file is made for programs.\r\n");
}

void AppendFile(const ReportMail& mail, absl::string_view json, std::string* out) {
  const std::string name = FileName(mail);
  mime::FieldWriter type("Content-Type", out);
  type.Word(kPackedType);
  type.Parameter("name", name);
  type.End();
  mime::FieldWriter disposition("Content-Disposition", out);
  disposition.Word("attachment");
  disposition.Parameter("filename", name);
  disposition.End();
  absl::StrAppend(out, "Content-Transfer-Encoding: base64\r\n\r\n");
  mime::AppendBase64(Gzip(json), out);
}

}  // namespace

std::string FileName(const ReportMail& mail) {
  return absl::StrCat(DomainOf(mail.from), "!", mail.frame.domain, "!", absl::ToUnixSeconds(mail.frame.day_start), "!",
                      absl::ToUnixSeconds(LastSecond(mail.frame)), "!", mail.unique_id, ".json.gz");
}

std::string BuildMail(const ReportMail& mail, absl::string_view json) {
  const std::string boundary = absl::StrCat("report-", mail.boundary_token);
  std::string bytes;
  AppendHeader(mail, boundary, &bytes);
  absl::StrAppend(&bytes, "\r\n--", boundary, "\r\n");
  AppendWords(mail, &bytes);
  absl::StrAppend(&bytes, "\r\n--", boundary, "\r\n");
  AppendFile(mail, json, &bytes);
  absl::StrAppend(&bytes, "\r\n--", boundary, "--\r\n");
  return bytes;
}

}  // namespace hikyaku::tls_report
