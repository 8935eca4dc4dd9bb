#include "lib/dsn/report.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"

namespace hikyaku::dsn {
namespace {

constexpr char kOriginal[] =
    "From: alice@example.jp\r\nSubject: hello\r\nMessage-ID: <1@example.jp>\r\n\r\nThe body.\r\n";

Report OneFailure() {
  Report report;
  report.hostname = "mail.example.jp";
  report.from = "MAILER-DAEMON@mail.example.jp";
  report.to = "alice@example.jp";
  report.message_id = "01report@mail.example.jp";
  report.date = absl::FromUnixSeconds(1'700'000'100);
  report.arrival = absl::FromUnixSeconds(1'700'000'000);
  report.original_message_id = "1@example.jp";
  report.original = kOriginal;
  report.boundary_token = "0123456789abcdef0123456789abcdef";
  ReportedRecipient bob;
  bob.address = "bob@example.net";
  bob.status = "5.1.1";
  bob.smtp_code = 550;
  bob.text = "no such user";
  bob.remote_host = "mx1.example.net [192.0.2.1]:25";
  bob.last_attempt = report.date;
  report.recipients = {bob};
  return report;
}

struct Parts {
  std::string header;
  std::vector<std::string> parts;  // Each with its own header.
};

Parts Split(const std::string& bytes) {
  const std::vector<std::string> pieces = absl::StrSplit(bytes, "\r\n--report-0123456789abcdef0123456789abcdef");
  Parts parts;
  parts.header = pieces.front();
  for (std::size_t i = 1; i < pieces.size(); ++i) parts.parts.push_back(pieces[i]);
  EXPECT_EQ(parts.parts.back(), "--\r\n");
  parts.parts.pop_back();
  return parts;
}

Parts Built(const Report& report) { return Split(BuildReport(report).bytes); }

// No line is longer than a mail may have, none has a bare CR or LF.
void ExpectLines(const std::string& bytes) {
  for (const absl::string_view line : absl::StrSplit(bytes, "\r\n")) {
    EXPECT_LE(line.size(), mime::kMaxLine);
    EXPECT_EQ(line.find_first_of("\r\n"), absl::string_view::npos);
  }
}

#define EXPECT_HAS(text, piece) EXPECT_TRUE(absl::StrContains(text, piece)) << (text)

TEST(Report, HasAHeaderThatNoMachineAnswers) {
  const BuiltReport built = BuildReport(OneFailure());
  const auto header = mime::HeaderFields::Parse(built.bytes);
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(header->Find("From")->Unfolded(), "Mail Delivery System <MAILER-DAEMON@mail.example.jp>");
  EXPECT_EQ(header->Find("To")->Unfolded(), "<alice@example.jp>");
  EXPECT_EQ(header->Find("Auto-Submitted")->Unfolded(), "auto-replied");
  EXPECT_EQ(header->Find("Message-ID")->Unfolded(), "<01report@mail.example.jp>");
  EXPECT_EQ(header->Find("In-Reply-To")->Unfolded(), "<1@example.jp>");
  EXPECT_EQ(header->Find("References")->Unfolded(), "<1@example.jp>");
  EXPECT_HAS(header->Find("Content-Type")->Unfolded(), "multipart/report; report-type=delivery-status");
  EXPECT_FALSE(built.eight_bit);
  EXPECT_FALSE(built.smtputf8);
  ExpectLines(built.bytes);
}

TEST(Report, HasThreePartsWithTheOriginalAsItWas) {
  const Parts built = Built(OneFailure());
  ASSERT_EQ(built.parts.size(), 3u);
  EXPECT_HAS(built.parts[0], "<bob@example.net>: mx1.example.net said\r\n    550 5.1.1 no such user\r\n");
  EXPECT_HAS(built.parts[1],
             "Content-Type: message/delivery-status\r\n\r\n"
             "Reporting-MTA: dns; mail.example.jp\r\n"
             "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
             "\r\n"
             "Final-Recipient: rfc822; bob@example.net\r\n"
             "Action: failed\r\n"
             "Status: 5.1.1\r\n"
             "Remote-MTA: dns; mx1.example.net\r\n"
             "Diagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
             "Last-Attempt-Date: Tue, 14 Nov 2023 22:15:00 +0000\r\n");
  EXPECT_HAS(built.parts[2], absl::StrCat("Content-Type: message/rfc822\r\n\r\n", kOriginal));
}

TEST(Report, TellsWhatTheSenderAskedToHaveBack) {
  Report report = OneFailure();
  report.envelope_id = "QQ+2B1";
  report.recipients[0].original_recipient = "rfc822;Bob@old.example.net";
  const Parts built = Built(report);
  EXPECT_HAS(built.parts[1], "Original-Envelope-Id: QQ+1\r\n");
  EXPECT_HAS(built.parts[1], "\r\n\r\nOriginal-Recipient: rfc822; Bob@old.example.net\r\nFinal-Recipient: ");
}

TEST(Report, ReturnsTheHeaderAloneWhenAskedOrWhenTheRestIsLarge) {
  Report asked = OneFailure();
  asked.headers_only = true;
  Report large = OneFailure();
  const std::string original = absl::StrCat(kOriginal, std::string(60'000, 'x'), "\r\n");
  large.original = original;
  for (const Report& report : {asked, large}) {
    const std::string last = Built(report).parts[2];
    EXPECT_HAS(last, "Content-Type: text/rfc822-headers\r\n\r\nFrom: alice");
    EXPECT_FALSE(absl::StrContains(last, "body")) << last;
  }
}

TEST(Report, OfAnExpiredMailKeepsTheLastWordAndClaimsNoneForThePeer) {
  Report report = OneFailure();
  report.recipients[0].status = "4.4.7";
  report.recipients[0].smtp_code = 450;
  report.recipients[0].text = "expired after 9 attempts; the last error was: try later";
  const Parts built = Built(report);
  EXPECT_HAS(built.parts[1], "Status: 4.4.7\r\n");
  EXPECT_HAS(built.parts[1],
             "Diagnostic-Code: x-hikyaku; 450 expired after 9 attempts; the last error\r\n    was: try later");
}

TEST(Report, OfOurOwnFindingsIsNoSmtpDiagnostic) {
  Report report = OneFailure();
  report.recipients[0].smtp_code = 0;
  report.recipients[0].status = "5.1.2";
  report.recipients[0].text = "no such domain: example.net";
  report.recipients[0].remote_host = "";
  const Parts built = Built(report);
  EXPECT_HAS(built.parts[1], "Diagnostic-Code: x-hikyaku; no such domain: example.net\r\n");
  EXPECT_FALSE(absl::StrContains(built.parts[1], "Remote-MTA"));
}

TEST(Report, OfADelaySaysUntilWhen) {
  Report report = OneFailure();
  report.action = Action::kDelayed;
  report.retry_until = absl::FromUnixSeconds(1'700'400'000);
  const Parts built = Built(report);
  EXPECT_HAS(built.parts[1], "Action: delayed\r\n");
  EXPECT_HAS(built.parts[1], "Will-Retry-Until: Sun, 19 Nov 2023 13:20:00 +0000\r\n");
}

// BATTERY B06, and every limit at once.
TEST(Report, IsBoundedWhateverGoesIn) {
  Report report = OneFailure();
  std::string original;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&original, "X-", i, ": ", std::string(60, 'h'), "\r\n");
  absl::StrAppend(&original, "\r\n", std::string(20 << 20, 'b'));
  report.original = original;
  report.recipients.resize(100, report.recipients[0]);
  for (ReportedRecipient& recipient : report.recipients) recipient.text = std::string(1024, 'w');
  const BuiltReport hundred = BuildReport(report);
  EXPECT_LT(hundred.bytes.size(), 100'000u);
  ExpectLines(hundred.bytes);

  report.recipients.resize(20'000, report.recipients[0]);
  const BuiltReport many = BuildReport(report);
  EXPECT_LT(many.bytes.size(), 600'000u);
  EXPECT_HAS(Split(many.bytes).parts[0], "lists 1000 of 20000.");
}

TEST(Report, ConvertsAnEightBitOriginalSoThatEveryHostTakesIt) {
  Report report = OneFailure();
  const std::string original =
      "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
      "8bit\r\n\r\n"
      "gr\xc3\xbc\xc3\x9f\r\n";
  report.original = original;
  const BuiltReport built = BuildReport(report);
  EXPECT_FALSE(built.eight_bit);
  EXPECT_TRUE(mime::IsAscii(built.bytes));
  EXPECT_HAS(Split(built.bytes).parts[2], "message/rfc822");
  EXPECT_HAS(Split(built.bytes).parts[2], "Content-Transfer-Encoding: base64\r\n\r\nZ3LDvMOfDQo=");
}

TEST(Report, OfAddressesBeyondAsciiIsGlobalForWhoCanReadIt) {
  Report report = OneFailure();
  report.recipients[0].address = "b\xc3\xb6@example.net";
  report.recipients[0].original_recipient = "utf-8;b\\x{F6}@example.net";
  const Parts plain = Built(report);
  EXPECT_HAS(plain.parts[1], "Content-Type: message/delivery-status\r\n");
  EXPECT_HAS(plain.parts[1], "Final-Recipient: utf-8; b\\x{F6}@example.net\r\n");

  report.to = "\xc3\xa4lice@example.jp";
  const std::string original = "Subject: \xc3\xbc\r\n\r\nx\r\n";
  report.original = original;
  const BuiltReport built = BuildReport(report);
  const Parts global = Split(built.bytes);
  EXPECT_TRUE(built.smtputf8);
  EXPECT_TRUE(built.eight_bit);
  EXPECT_HAS(global.parts[1], "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n");
  EXPECT_HAS(global.parts[1], "Original-Recipient: utf-8; b\xc3\xb6@example.net\r\n");
  EXPECT_HAS(global.parts[1], "Final-Recipient: utf-8; b\xc3\xb6@example.net\r\n");
  EXPECT_HAS(global.parts[2], "Content-Type: message/global\r\n");
  report.headers_only = true;
  EXPECT_HAS(Built(report).parts[2], "Content-Type: message/global-headers\r\n");
}

// What a peer or a message says never becomes a field or a part of ours.
TEST(Report, IsNotWrittenByStrangers) {
  Report report = OneFailure();
  report.original_message_id = "x> y\r\nBcc: eve@example.org";
  report.recipients[0].text = "\xe2\x80\xa8 caf\xc3\xa9 \xff";
  report.recipients[0].remote_host = "[192.0.2.1]:25";
  const std::string original = "no header at all";
  report.original = original;
  const BuiltReport built = BuildReport(report);
  EXPECT_FALSE(absl::StrContains(built.bytes, "Bcc:"));
  EXPECT_FALSE(absl::StrContains(built.bytes, "In-Reply-To"));
  EXPECT_HAS(built.bytes, "Remote-MTA: dns; [192.0.2.1]\r\n");
  EXPECT_HAS(Split(built.bytes).parts[1], "smtp; 550 5.1.1 ? caf? ?\r\n");
  ExpectLines(built.bytes);
}

TEST(Report, WithoutAReadableOriginalHasTwoParts) {
  Report report = OneFailure();
  report.original = "";
  EXPECT_EQ(Built(report).parts.size(), 2u);
}

}  // namespace
}  // namespace hikyaku::dsn
