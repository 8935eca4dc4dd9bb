#include "lib/submission/assemble.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

AssembleOptions Options() {
  AssembleOptions options;
  options.hostname = "mail.example.jp";
  return options;
}

smtp::Transaction Mail(std::string data) {
  smtp::Transaction transaction;
  transaction.helo = "c.test";
  transaction.esmtp = true;
  transaction.recipients.push_back({*address::ParseAddress("r@ok.test"), "r@ok.test"});
  transaction.data = std::move(data);
  return transaction;
}

address::IpAddress Ip(const char* text) { return *address::IpAddress::Parse(text); }

Submission Raw(const std::string* data) {
  Submission submission;
  submission.raw = data;
  return submission;
}

TEST(Received, NamesClientProtocolIdAndSingleRecipient) {
  const MessageId id = MessageId::Generate(kNow);
  EXPECT_EQ(ReceivedBySmtp(Mail(""), Ip("192.0.2.1"), id, "mail.example.jp"),
            absl::StrCat("Received: from c.test ([192.0.2.1])\r\n\tby mail.example.jp (Hikyaku) with ESMTP id ",
                         id.text(), "\r\n\tfor <r@ok.test>;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n"));
}

TEST(Received, TwoRecipientsAreNotNamed) {
  smtp::Transaction transaction = Mail("");
  transaction.recipients.push_back({*address::ParseAddress("s@ok.test"), "s@ok.test"});
  EXPECT_EQ(ReceivedBySmtp(transaction, Ip("::1"), MessageId(), "h").find("for"), std::string::npos);
}

TEST(Received, ProtocolIsWhatTheClientSpoke) {
  smtp::Transaction transaction = Mail("");
  transaction.esmtp = false;
  EXPECT_TRUE(absl::StrContains(ReceivedBySmtp(transaction, Ip("::1"), MessageId(), "h"), " with SMTP id "));
  transaction.smtputf8 = true;
  EXPECT_TRUE(absl::StrContains(ReceivedBySmtp(transaction, Ip("::1"), MessageId(), "h"), " with UTF8SMTP id "));
}

TEST(Received, HostileHelloIsNeverEchoed) {
  for (const char* helo : {"<x>", "a(b", "x;y", "a\"b", "\u00e9.test", "", "[127.0.0.1",
                           "a\x01"
                           "b"}) {
    smtp::Transaction transaction = Mail("");
    transaction.helo = helo;
    EXPECT_TRUE(absl::StartsWith(ReceivedBySmtp(transaction, Ip("192.0.2.1"), MessageId(), "h"),
                                 "Received: from unknown ([192.0.2.1])"))
        << helo;
  }
}

TEST(Received, LiteralHelloStands) {
  smtp::Transaction transaction = Mail("");
  transaction.helo = "[IPv6:::1]";
  EXPECT_TRUE(absl::StartsWith(ReceivedBySmtp(transaction, Ip("::ffff:192.0.2.1"), MessageId(), "h"),
                               "Received: from [IPv6:::1] ([192.0.2.1])"));
}

TEST(AssembleReceived, CompletesTheHeaderAndKeepsTheBody) {
  smtp::Transaction transaction = Mail("Bcc: secret@x.test\r\nFrom: a@b.test\r\n\r\nbody\r\n");
  const MessageId id = MessageId::Generate(kNow);
  const auto assembled = AssembleReceived(transaction, Ip("192.0.2.1"), id, Options());
  ASSERT_TRUE(assembled.ok()) << assembled.status();
  EXPECT_TRUE(absl::StartsWith(assembled->bytes, "Received: from c.test"));
  EXPECT_TRUE(absl::StrContains(assembled->bytes, "\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"));
  EXPECT_TRUE(absl::EndsWith(assembled->bytes, "\r\n\r\nbody\r\n"));
  EXPECT_FALSE(absl::StrContains(assembled->bytes, "secret"));
  EXPECT_EQ(assembled->message_id_header, absl::StrCat(id.text(), "@mail.example.jp"));
}

TEST(AssembleReceived, LoopIsFailedPrecondition) {
  std::string data;
  for (int i = 0; i < 50; ++i) data += "Received: by x\r\n";
  smtp::Transaction transaction = Mail(data + "From: a@b.test\r\n\r\n");
  EXPECT_EQ(AssembleReceived(transaction, Ip("::1"), MessageId(), Options()).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(AssembleReceived, NoMessageIsInvalid) {
  smtp::Transaction transaction = Mail("");
  EXPECT_EQ(AssembleReceived(transaction, Ip("::1"), MessageId(), Options()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(AssembleRaw, LfAloneBecomesCrlf) {
  const std::string data = "From: a@b.test\n\nline\n";
  const auto assembled = Assemble(Raw(&data), MessageId::Generate(kNow), Options());
  ASSERT_TRUE(assembled.ok()) << assembled.status();
  EXPECT_TRUE(absl::EndsWith(assembled->bytes, "\r\n\r\nline\r\n"));
  EXPECT_TRUE(absl::StartsWith(assembled->bytes, "Received: by mail.example.jp (Hikyaku) with gRPC id "));
}

TEST(AssembleRaw, MixedLineEndsAreRefused) {
  for (const char* data :
       {"From: a@b.test\r\n\r\na\nb\r\n", "From: a@b.test\r\n\r\na\rb\r\n", "From: a@b.test\n\na\rb\n"}) {
    const std::string raw = data;
    const auto assembled = Assemble(Raw(&raw), MessageId(), Options());
    ASSERT_EQ(assembled.status().code(), absl::StatusCode::kInvalidArgument) << data;
    EXPECT_EQ(FieldsOf(assembled.status()).at(0).path, "raw.data");
  }
}

TEST(AssembleRaw, SizeLimitIsExact) {
  const std::string data = "From: a@b.test\r\n\r\nbody\r\n";
  AssembleOptions options = Options();
  options.max_size = data.size();
  EXPECT_TRUE(Assemble(Raw(&data), MessageId(), options).ok());
  --options.max_size;
  EXPECT_EQ(Assemble(Raw(&data), MessageId(), options).status().code(), absl::StatusCode::kResourceExhausted);
}

// What is queued has CRLF, so that is what counts.
TEST(AssembleRaw, SizeLimitCountsTheCrsThatAreAdded) {
  const std::string data = "From: a@b.test\n\nbody\n";
  AssembleOptions options = Options();
  options.max_size = data.size() + 3;
  EXPECT_TRUE(Assemble(Raw(&data), MessageId(), options).ok());
  --options.max_size;
  const absl::Status status = Assemble(Raw(&data), MessageId(), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(RetryAfterOf(status).has_value());
}

TEST(AssembleRaw, LoopSaysSo) {
  std::string data;
  for (int i = 0; i < 50; ++i) data += "Received: by x\r\n";
  data += "From: a@b.test\r\n\r\n";
  const auto assembled = Assemble(Raw(&data), MessageId(), Options());
  ASSERT_EQ(assembled.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StartsWith(FieldsOf(assembled.status()).at(0).description, "5.4.6 "));
}

Submission Content() {
  Submission submission;
  mime::MessageParts& parts = submission.parts.emplace();
  parts.from.address = "alice@ours.test";
  parts.to.push_back({"", "r@ok.test"});
  parts.subject = "Hello";
  parts.text = "Hi\n";
  return submission;
}

TEST(AssembleContent, IsTheSameMailUnderTheSameId) {
  const MessageId id = MessageId::Generate(kNow);
  const auto one = Assemble(Content(), id, Options());
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_EQ(Assemble(Content(), id, Options())->bytes, one->bytes);
  EXPECT_EQ(one->message_id_header, absl::StrCat(id.text(), "@mail.example.jp"));
  EXPECT_FALSE(one->eight_bit);
}

TEST(AssembleContent, TlsRequiredNoIsReadWhereverItComesFrom) {
  const MessageId id = MessageId::Generate(kNow);
  EXPECT_FALSE(Assemble(Content(), id, Options())->waives_tls);
  Submission content = Content();
  content.parts->headers = {{"X-A", "No"}, {"tls-required", " no"}};
  EXPECT_TRUE(Assemble(content, id, Options())->waives_tls);
  content.parts->headers.push_back({"TLS-Required", "No"});
  EXPECT_FALSE(Assemble(content, id, Options())->waives_tls);
  const std::string raw = "From: a@b.test\r\nTLS-Required: No\r\n\r\nx\r\n";
  EXPECT_TRUE(Assemble(Raw(&raw), id, Options())->waives_tls);
}

TEST(AssembleContent, BuilderErrorsNameTheirField) {
  Submission submission = Content();
  submission.parts->text = absl::string_view("a\xff", 2);
  const auto assembled = Assemble(submission, MessageId(), Options());
  ASSERT_EQ(assembled.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldsOf(assembled.status()).at(0).path, "content.text");
}

}  // namespace
}  // namespace hikyaku::submission
