#include "lib/dkim/signer.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/dkim/key_record.h"
#include "lib/dkim/verifier.h"
#include "lib/mime/header.h"

namespace hikyaku::dkim {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::int64_t kNow = 1700000000;

const crypto::SigningKey& Key(crypto::KeyType type) {
  static const auto* const rsa = new crypto::SigningKey(*crypto::SigningKey::GenerateRsa(2048));
  static const auto* const ed25519 = new crypto::SigningKey(crypto::SigningKey::GenerateEd25519());
  return type == crypto::KeyType::kRsa ? *rsa : *ed25519;
}

std::string SignedBy(const std::string& message, crypto::KeyType type, Form header_form = Form::kRelaxed,
                     Form body_form = Form::kRelaxed) {
  const auto header = mime::HeaderFields::Parse(message);
  EXPECT_TRUE(header.ok()) << header.status();
  BodyHasher hasher(body_form);
  hasher.Update(header->body());
  const auto field = Sign(*header, hasher.Finish(), {"example.com", "k1", Key(type)}, {kNow, header_form, body_form});
  EXPECT_TRUE(field.ok()) << field.status();
  return absl::StrCat(*field, message);
}

Verdict Check(const std::string& message, crypto::KeyType type = crypto::KeyType::kRsa) {
  const auto verdicts = Verify(message, kNow, [&](const std::string& name) -> KeyAnswer {
    EXPECT_EQ(name, "k1._domainkey.example.com");
    return std::vector<std::string>{FormatKeyRecord(Key(type))};
  });
  EXPECT_TRUE(verdicts.ok() && !verdicts->empty());
  return verdicts.ok() && !verdicts->empty() ? verdicts->front() : Verdict{};
}

const char kMessage[] =
    "From: a@example.com\r\nTo: b@example.net\r\nSubject: hello\r\n there\r\nDate: Tue, 05 Mar 2024 09:08:07 +0000\r\n"
    "Message-ID: <1@example.com>\r\n\r\nhello  there \r\n\r\nbye\r\n\r\n\r\n";

class SignerForms : public testing::TestWithParam<std::tuple<crypto::KeyType, Form, Form>> {};

TEST_P(SignerForms, WhatIsSignedPasses) {
  const auto [type, header_form, body_form] = GetParam();
  const std::vector<std::string> messages = {
      kMessage,
      "From: a@example.com\r\n\r\n",
      "From: a@example.com\r\n\r\n\r\n\r\n",
      "From: a@example.com",
      "From: a@example.com\r\nTo: x@y\r\nTo: z@y\r\nX-Odd:\r\n \t\r\n odd\r\n\r\n \t\r\n  trailing \t\r\nno end",
      absl::StrCat("From: a@example.com\r\nReferences: ", std::string(900, 'r'), "\r\n\r\n\xc3\xbc\xff\r\n.\r\n..\r\n"),
  };
  for (const std::string& message : messages) {
    const Verdict verdict = Check(SignedBy(message, type, header_form, body_form), type);
    EXPECT_EQ(verdict.result, Result::kPass) << verdict.ToString() << "\n" << message;
  }
}

INSTANTIATE_TEST_SUITE_P(All, SignerForms,
                         testing::Combine(testing::Values(crypto::KeyType::kRsa, crypto::KeyType::kEd25519),
                                          testing::Values(Form::kSimple, Form::kRelaxed),
                                          testing::Values(Form::kSimple, Form::kRelaxed)));

TEST(SignerField, IsFoldedAndSaysWhatItMust) {
  const std::string text = SignedBy(kMessage, crypto::KeyType::kRsa);
  const std::string field = text.substr(0, text.find("From: "));
  for (const absl::string_view line : absl::StrSplit(field, "\r\n")) EXPECT_LE(line.size(), 78u) << line;
  const auto header = mime::HeaderFields::Parse(field);
  ASSERT_TRUE(header.ok() && header->fields().size() == 1);
  const std::string value = header->fields()[0].Unfolded();
  EXPECT_THAT(value,
              HasSubstr("v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=k1; t=1700000000; h=from:from:to:"));
  EXPECT_THAT(value, Not(HasSubstr(" l=")));
  EXPECT_THAT(value, Not(HasSubstr(" x=")));
  EXPECT_THAT(value, Not(HasSubstr(" i=")));
}

TEST(SignerField, ALongDomainIsNotBroken) {
  std::string domain = "a";
  while (domain.size() < 240) domain += ".label";
  const auto header = mime::HeaderFields::Parse(kMessage);
  const auto field = Sign(*header, std::string(32, 'x'), {domain, "s", Key(crypto::KeyType::kEd25519)}, {kNow});
  ASSERT_TRUE(field.ok());
  EXPECT_THAT(*field, HasSubstr(absl::StrCat("d=", domain, ";")));
}

TEST(SignerNames, EveryFieldThereAndOneMore) {
  const auto header =
      mime::HeaderFields::Parse("To: a@b\r\nFROM: a@b\r\nto: c@b\r\nSender: s@b\r\nList-Id: l\r\nX: y\r\n\r\n");
  const std::vector<absl::string_view> names = NamesToSign(*header);
  const auto times = [&](const char* name) { return std::count(names.begin(), names.end(), name); };
  EXPECT_EQ(times("from"), 2);
  EXPECT_EQ(times("to"), 3);
  EXPECT_EQ(times("subject"), 1);  // Not there, and not to be added.
  EXPECT_EQ(times("list-id"), 2);
  EXPECT_EQ(times("list-unsubscribe"), 0);
  EXPECT_EQ(times("sender"), 1);
  EXPECT_EQ(times("x"), 0);
  EXPECT_EQ(times("received"), 0);
}

// BATTERY K05.
TEST(SignerTampering, EveryChangeFails) {
  const std::string good = SignedBy(kMessage, crypto::KeyType::kRsa);
  ASSERT_EQ(Check(good).result, Result::kPass);
  for (const char* added : {"From: evil@example.net\r\n", "To: evil@example.net\r\n", "Subject: evil\r\n",
                            "Date: Tue, 05 Mar 2024 00:00:00 +0000\r\n", "Reply-To: evil@example.net\r\n",
                            "Content-Type: text/html\r\n", "Cc: evil@example.net\r\n", "MIME-Version: 1.0\r\n"}) {
    EXPECT_EQ(Check(absl::StrCat(added, good)).result, Result::kFail) << added;
    EXPECT_EQ(Check(absl::StrReplaceAll(good, {{"Message-ID", absl::StrCat(added, "Message-ID")}})).result,
              Result::kFail)
        << added;
  }
  EXPECT_EQ(Check(absl::StrReplaceAll(good, {{"hello\r\n there", "hullo\r\n there"}})).result, Result::kFail);
  EXPECT_THAT(Check(absl::StrReplaceAll(good, {{"bye", "bya"}})).reason, HasSubstr("the body was changed"));
  EXPECT_EQ(Check(absl::StrCat(good, "more")).result, Result::kFail);
  EXPECT_EQ(Check(absl::StrReplaceAll(good, {{"t=1700000000", "t=1700000001"}})).result, Result::kFail);
}

TEST(SignerTampering, WhatRelaysDoPasses) {
  const std::string good = SignedBy(kMessage, crypto::KeyType::kRsa);
  for (const std::string& changed : {
           absl::StrCat("Received: by relay\r\nReturn-Path: <x@y>\r\n", good),
           absl::StrReplaceAll(good, {{"hello\r\n there", "hello there"}}),
           absl::StrReplaceAll(good, {{"hello  there \r\n", "hello there\r\n"}}),
           absl::StrCat(good, "\r\n\r\n"),
       }) {
    EXPECT_EQ(Check(changed).result, Result::kPass) << changed;
  }
}

}  // namespace
}  // namespace hikyaku::dkim
