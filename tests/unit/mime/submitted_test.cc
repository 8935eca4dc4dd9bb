#include "lib/mime/submitted.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace hikyaku::mime {
namespace {

using testing::HasSubstr;

SubmitOptions Options() {
  return {.received = "Received: from c.test\r\n by mx.ours.test; Tue, 05 Mar 2024 09:08:07 +0000\r\n",
          .date = "Tue, 05 Mar 2024 09:08:07 +0000",
          .message_id = "<new@ours.test>"};
}

const char kAdded[] =
    "Received: from c.test\r\n by mx.ours.test; Tue, 05 Mar 2024 09:08:07 +0000\r\n"
    "Date: Tue, 05 Mar 2024 09:08:07 +0000\r\nMessage-ID: <new@ours.test>\r\n";

const char kReceived[] = "Received: from c.test\r\n by mx.ours.test; Tue, 05 Mar 2024 09:08:07 +0000\r\n";

TEST(PrepareSubmittedRfc6409Section8, CompletesTheHeader) {
  struct Case {
    const char* name;
    std::string message;
    std::string head;
    std::string body;
  };
  const std::string rest = "From: a@x.test\r\nDate: d\r\nMessage-ID: <1@x>\r\n";
  const std::vector<Case> cases = {
      {"NothingMissing", rest + "\r\nbody\r\n", kReceived, rest + "\r\nbody\r\n"},
      {"DateAndIdMissing", "From: a@x.test\r\n\r\nbody\r\n", kAdded, "From: a@x.test\r\n\r\nbody\r\n"},
      {"BccRemoved", "Bcc: b@x\r\n" + rest + "\r\nbody\r\n", kReceived, rest + "\r\nbody\r\n"},
      {"BccWithFoldsRemoved", rest + "bCC: b@x,\r\n c@x,\r\n\td@x\r\n\r\nBcc: body\r\n", kReceived,
       rest + "\r\nBcc: body\r\n"},
      {"ManyRemoved", "Return-Path: <a@x>\r\nBcc: b@x\r\n" + rest + "Bcc: c@x\r\nResent-Bcc: d@x\r\n\r\n", kReceived,
       rest + "\r\n"},
      {"EmptyDateAndId", "Date:\r\nFrom: a@x.test\r\nMessage-Id: \r\n \r\n\r\nDate:\r\n", kAdded,
       "From: a@x.test\r\n\r\nDate:\r\n"},
      {"BodyMissing", rest, kReceived, rest},
      {"LastLineWithoutCrlf", rest + "\r\nbody", kReceived, rest + "\r\nbody\r\n"},
      {"HeaderWithoutCrlf", rest + "X: y", kReceived, rest + "X: y\r\n"},
      {"DotsAreKept", rest + "\r\n.\r\n..\r\n", kReceived, rest + "\r\n.\r\n..\r\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    auto prepared = PrepareSubmitted(c.message, Options());
    ASSERT_TRUE(prepared.ok()) << prepared.status();
    EXPECT_EQ(prepared->head, c.head);
    EXPECT_EQ(prepared->body, c.body);
    EXPECT_EQ(std::move(*prepared).Assemble(), c.head + c.body);
  }
}

TEST(PrepareSubmittedRfc5322Section3_6, FieldsThatMayStandOnce) {
  for (const char* name : {"From", "Date", "Sender", "Reply-To", "To", "Cc", "Message-ID", "In-Reply-To", "References",
                           "Subject", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}) {
    SCOPED_TRACE(name);
    const std::string own = absl::StrCat(name, ": a@x.test\r\n");
    const std::string other = absl::AsciiStrToUpper(name) + ":b@x.test\r\n";
    const std::string from = absl::string_view(name) == "From" ? "" : "From: a@x.test\r\n";
    EXPECT_TRUE(PrepareSubmitted(absl::StrCat(from, own, "\r\n", other, own), Options()).ok());
    const auto twice = PrepareSubmitted(absl::StrCat(from, own, "X: y\r\n", other, "\r\n"), Options());
    EXPECT_EQ(twice.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(twice.status().message()), HasSubstr(absl::StrCat("more than one ", name, " field")));
  }
  EXPECT_TRUE(PrepareSubmitted("From: a@x.test\r\nKeywords: a\r\nKeywords: b\r\nX: 1\r\nX: 2\r\n\r\n", Options()).ok());
}

TEST(PrepareSubmittedRfc6409Section8, TheBodyIsNotMovedWhenNothingIsRemoved) {
  std::string message = "From: a@x.test\r\n\r\n" + std::string(900, 'b') + "\r\n";
  const char* bytes = message.data();
  const auto prepared = PrepareSubmitted(std::move(message), Options());
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->body.data(), bytes);
}

TEST(PrepareSubmittedRfc6409Section8, TellsWhatTheCallerNeeds) {
  const auto added = PrepareSubmitted("From: A <a@x.test>, \"B, C\" <b@y.test>\r\n\r\nx\r\n", Options());
  ASSERT_TRUE(added.ok()) << added.status();
  EXPECT_EQ(added->message_id, "<new@ours.test>");
  ASSERT_EQ(added->from_addresses.size(), 2u);
  EXPECT_EQ(added->from_addresses[1].ToString(), "b@y.test");
  EXPECT_FALSE(added->has_8bit);
  EXPECT_FALSE(added->needs_smtputf8);

  const auto given = PrepareSubmitted("From: a@x.test\r\nMessage-Id:\r\n <1@x>\r\n\r\n\xc3\xbc\r\n", Options());
  ASSERT_TRUE(given.ok());
  EXPECT_EQ(given->message_id, "<1@x>");
  EXPECT_TRUE(given->has_8bit);
  EXPECT_FALSE(given->needs_smtputf8);

  const auto utf8 = PrepareSubmitted("From: a@x.test\r\nSubject: \xc3\xbc\r\n\r\nx\r\n", Options());
  ASSERT_TRUE(utf8.ok());
  EXPECT_TRUE(utf8->has_8bit);
  EXPECT_TRUE(utf8->needs_smtputf8);

  const auto removed = PrepareSubmitted("From: a@x.test\r\nBcc: \xc3\xbc <b@x>\r\n\r\nx\r\n", Options());
  ASSERT_TRUE(removed.ok());
  EXPECT_FALSE(removed->has_8bit);
}

TEST(TlsRequiredRfc8689Section3, OneFieldThatSaysNo) {
  const struct {
    const char* name;
    const char* fields;
    bool waives;
  } cases[] = {
      {"No", "TLS-Required: No\r\n", true},
      {"CaseAndBlanks", "tls-required:  nO \r\n", true},
      {"Folded", "TLS-Required:\r\n No\r\n", true},
      {"None", "", false},
      {"Yes", "TLS-Required: Yes\r\n", false},
      {"NoAndMore", "TLS-Required: No, really\r\n", false},
      {"Empty", "TLS-Required:\r\n", false},
      {"Twice", "TLS-Required: No\r\nTLS-Required: No\r\n", false},
      {"OtherField", "X-TLS-Required: No\r\n", false},
  };
  for (const auto& c : cases) {
    const auto prepared =
        PrepareSubmitted(absl::StrCat("From: a@x.test\r\n", c.fields, "\r\nTLS-Required: No\r\n"), Options());
    ASSERT_TRUE(prepared.ok()) << c.name;
    EXPECT_EQ(prepared->waives_tls, c.waives) << c.name;
  }
}

TEST(PrepareSubmittedErrors, RefuseWithAReason) {
  const std::string ok = "From: a@x.test\r\n";
  struct Case {
    const char* name;
    std::string message;
    const char* says;
  };
  const std::vector<Case> cases = {
      // BATTERY M09.
      {"Empty", "", "no From"},
      {"NoFrom", "To: a@x.test\r\n\r\n", "no From"},
      {"TwoFrom", ok + ok + "\r\n", "more than one From"},
      {"NullFrom", "From: <>\r\n\r\n", "From field"},
      {"EmptyFrom", "From: \r\n\r\n", "From field"},
      {"EmptyGroupFrom", "From: nobody:;\r\n\r\n", "no address"},
      {"NoColon", ok + "hello\r\n\r\n", "no colon"},
      {"FirstLineContinues", " " + ok + "\r\n", "continues"},
      // BATTERY S08.
      {"BareCrInHeader", ok + "Subject: a\rBcc: v@x.test\r\n\r\n", "bare CR"},
      {"BareLfInHeader", ok + "Subject: a\nBcc: v@x.test\r\n\r\n", "bare LF"},
      {"NulInHeader", ok + std::string("Subject: a\0b\r\n\r\n", 16), "NUL"},
      {"NulBeforeADot", ok + std::string("\r\na\r\n\0.\r\nb\r\n", 12), "NUL"},
      {"HeaderNotUtf8", ok + "Subject: \xff\r\n\r\n", "not UTF-8"},
      // BATTERY M01.
      {"LineOf999InBody", ok + "\r\n" + std::string(999, 'a') + "\r\n", "longer than 998"},
      {"LineOf999InHeader", ok + "X: " + std::string(996, 'a') + "\r\n\r\n", "longer than 998"},
      {"LineOf1MB", ok + "\r\n" + std::string(1'000'000, 'a'), "longer than 998"},
      {"ManyFields", ok + absl::StrReplaceAll(std::string(1000, 'x'), {{"x", "A: b\r\n"}}) + "\r\n",
       "more than 1000 fields"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto prepared = PrepareSubmitted(c.message, Options());
    ASSERT_EQ(prepared.status().code(), absl::StatusCode::kInvalidArgument) << prepared.status();
    EXPECT_THAT(std::string(prepared.status().message()), HasSubstr(c.says));
  }
}

TEST(PrepareSubmittedErrors, LinesOf998Pass) {
  EXPECT_TRUE(PrepareSubmitted("From: a@x.test\r\n\r\n" + std::string(998, 'a') + "\r\n", Options()).ok());
}

// BATTERY S01, S05: each near-miss of the end of data, in the body and in a header.
TEST(SmugglingBattery22, NoBareCrOrLfPasses) {
  const std::vector<std::string> misses = {"\n.\n",   "\n.\r",   "\r.\n",   "\r.\r",
                                           "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r"};
  for (const std::string& miss : misses) {
    for (const std::string& message : {absl::StrCat("From: a@x.test\r\n\r\na", miss, "MAIL FROM:<x@evil.test>\r\n"),
                                       absl::StrCat("From: a@x.test\r\nSubject: a", miss, " b\r\n\r\n"),
                                       absl::StrCat("From: a@x.test\r\n\r\na", miss)}) {
      const auto prepared = PrepareSubmitted(message, Options());
      EXPECT_EQ(prepared.status().code(), absl::StatusCode::kInvalidArgument) << message;
    }
  }
}

// BATTERY D18.
TEST(LoopsRfc5321Section63, EndAtTheLimit) {
  const auto with = [](int count) {
    std::string message;
    for (int i = 0; i < count; ++i) absl::StrAppend(&message, "Received: by host", i, "\r\n");
    return PrepareSubmitted(message + "From: a@x.test\r\n\r\n", Options()).status().code();
  };
  EXPECT_EQ(with(49), absl::StatusCode::kOk);
  EXPECT_EQ(with(50), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(with(101), absl::StatusCode::kFailedPrecondition);
}

// One removal for all fields: quadratic work here would take minutes.
TEST(PrepareSubmittedCost, ManyBccFieldsInALargeMessage) {
  std::string message = "From: a@x.test\r\n";
  for (int i = 0; i < 990; ++i) message += "Bcc: b@x\r\n";
  message += "\r\n";
  const std::string line = std::string(998, 'a') + "\r\n";
  while (message.size() < 25'000'000) message += line;
  const auto prepared = PrepareSubmitted(std::move(message), Options());
  ASSERT_TRUE(prepared.ok());
  EXPECT_EQ(prepared->body.substr(0, 18), "From: a@x.test\r\n\r\n");
}

}  // namespace
}  // namespace hikyaku::mime
