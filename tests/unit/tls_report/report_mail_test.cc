#include "lib/tls_report/report_mail.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "gtest/gtest.h"
#include "lib/mime/encoding.h"
#include "lib/mime/header.h"

namespace hikyaku::tls_report {
namespace {

ReportMail Mail() {
  ReportMail mail;
  mail.frame.organization = "Ours";
  mail.frame.domain = "x.test";
  mail.frame.day_start = absl::FromCivil(absl::CivilDay(2026, 11, 26), absl::UTCTimeZone());
  mail.frame.report_id = "20261126.x.test.0a1b@ours.test";
  mail.from = "tls-reports@ours.test";
  mail.to = {"a@x.test", "b@rua.test"};
  mail.message_id = "1@mail.ours.test";
  mail.date = mail.frame.day_start + absl::Hours(26);
  mail.unique_id = "0a1b";
  mail.boundary_token = "tok";
  return mail;
}

std::string Gunzip(const std::string& packed) {
  z_stream stream = {};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string text(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(text.data());
  stream.avail_out = static_cast<uInt>(text.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  text.resize(stream.total_out);
  inflateEnd(&stream);
  return text;
}

TEST(ReportMailRfc8460Section53, HasItsHeader) {
  const std::string bytes = BuildMail(Mail(), "{}");
  const auto header = mime::HeaderFields::Parse(bytes);
  ASSERT_TRUE(header.ok()) << header.status();
  const auto value = [&header](const char* name) {
    EXPECT_EQ(header->Count(name), 1u) << name;
    return header->Find(name)->Unfolded();
  };
  EXPECT_EQ(value("From"), "<tls-reports@ours.test>");
  EXPECT_EQ(value("To"), "<a@x.test>, <b@rua.test>");
  EXPECT_EQ(value("Subject"), "Report Domain: x.test Submitter: ours.test Report-ID: <20261126.x.test.0a1b@ours.test>");
  EXPECT_EQ(value("TLS-Report-Domain"), "x.test");
  EXPECT_EQ(value("TLS-Report-Submitter"), "ours.test");
  EXPECT_EQ(value("TLS-Required"), "No");
  EXPECT_EQ(value("Auto-Submitted"), "auto-generated");
  EXPECT_EQ(value("Content-Type"), "multipart/report; report-type=tlsrpt; boundary=report-tok");
}

TEST(ReportMailRfc8460Section53, BringsTheReportPacked) {
  const std::string json(100'000, 'j');
  const std::string bytes = BuildMail(Mail(), json);
  const std::vector<std::string> parts = absl::StrSplit(bytes, "\r\n--report-tok");
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[3], "--\r\n");
  const std::string part = parts[2].substr(2);
  const auto header = mime::HeaderFields::Parse(part);
  ASSERT_TRUE(header.ok());
  const std::string name = "ours.test!x.test!1795651200!1795737599!0a1b.json.gz";
  EXPECT_EQ(header->Find("Content-Type")->Unfolded(), absl::StrCat("application/tlsrpt+gzip; name=", name));
  EXPECT_EQ(header->Find("Content-Disposition")->Unfolded(), absl::StrCat("attachment; filename=", name));
  EXPECT_EQ(Gunzip(*mime::DecodeBase64(header->body())), json);
  EXPECT_LT(bytes.size(), 5'000u);
}

TEST(ReportMailRfc8460Section53, LongNamesStayWithinTheLine) {
  ReportMail mail = Mail();
  mail.frame.domain = absl::StrCat(std::string(60, 'a'), ".", std::string(60, 'b'), ".", std::string(60, 'c'), ".test");
  for (const absl::string_view line : absl::StrSplit(BuildMail(mail, "{}"), "\r\n")) EXPECT_LE(line.size(), 998u);
}

}  // namespace
}  // namespace hikyaku::tls_report
