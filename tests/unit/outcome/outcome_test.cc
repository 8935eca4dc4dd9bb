#include "lib/outcome/outcome.h"

#include <string>

#include "gtest/gtest.h"
#include "lib/base/utf8.h"

namespace hikyaku::outcome {
namespace {

struct Row {
  const char* name;
  int smtp_code;
  const char* enhanced;
  const char* text;
  Kind kind;
  const char* status;
  const char* said;
};

class OutcomeOfReply : public testing::TestWithParam<Row> {};

TEST_P(OutcomeOfReply, FollowsTheBasicCode) {
  const Row& row = GetParam();
  const Outcome outcome = FromReply(Scope::kRecipient, row.smtp_code, row.enhanced, row.text, "mx.ok.test [192.0.2.1]");
  EXPECT_EQ(outcome.kind, row.kind);
  EXPECT_EQ(outcome.enhanced.ToString(), row.status);
  EXPECT_EQ(outcome.text, row.said);
  EXPECT_EQ(outcome.smtp_code, row.smtp_code);
  EXPECT_EQ(outcome.scope, Scope::kRecipient);
  EXPECT_EQ(outcome.remote_host, "mx.ok.test [192.0.2.1]");
  EXPECT_FALSE(outcome.ambiguous);
  EXPECT_EQ(outcome.terminal(), row.kind != Kind::kTransient);
}

INSTANTIATE_TEST_SUITE_P(Rfc5321Section421, OutcomeOfReply,
                         testing::ValuesIn<Row>({
                             {"Delivered", 250, "2.0.0", "queued", Kind::kDelivered, "2.0.0", "queued"},
                             {"CodeSplitOff", 550, "5.1.1", "no such user", Kind::kPermanent, "5.1.1", "no such user"},
                             {"CodeInText", 550, "", "5.1.1 no such user", Kind::kPermanent, "5.1.1", "no such user"},
                             {"CodeInEachLine", 550, "", "5.1.1 no such user\n5.1.1 see https://x.test",
                              Kind::kPermanent, "5.1.1", "no such user see https://x.test"},
                             {"NoCode", 450, "", "busy", Kind::kTransient, "4.0.0", "busy"},
                             {"D07ContradictingCode", 450, "", "5.1.1 x", Kind::kTransient, "4.0.0", "5.1.1 x"},
                             {"D07ContradictingSplitCode", 550, "4.2.0", "x", Kind::kPermanent, "5.0.0", "x"},
                             {"NonsenseCode", 550, "nonsense", "x", Kind::kPermanent, "5.0.0", "x"},
                             {"NoText", 550, "", "", Kind::kPermanent, "5.0.0", "(reply 550 without text)"},
                             {"OnlyControls", 421, "", "\r\n\t", Kind::kTransient, "4.0.0", "(reply 421 without text)"},
                             {"UnexpectedIntermediate", 354, "", "go on", Kind::kTransient, "4.5.0", "go on"},
                             {"CodeBeyondSmtp", 999, "", "?", Kind::kTransient, "4.5.0", "?"},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OutcomeOfOurs, HasAClassDigitThatAgrees) {
  const Outcome outcome = FromUs(Kind::kPermanent, Scope::kDomain, {4, 1, 2}, "ok.test does not exist");
  EXPECT_EQ(outcome.enhanced.ToString(), "5.1.2");
  EXPECT_EQ(outcome.smtp_code, 0);
  EXPECT_EQ(outcome.cls, BounceClass::kBadDomain);
  EXPECT_EQ(outcome.ToString(), "5.1.2 ok.test does not exist");
  EXPECT_FALSE(FromUs(Kind::kTransient, Scope::kHost, {}, "").text.empty());
  EXPECT_EQ(FromUs(Kind::kTransient, Scope::kHost, {}, "").enhanced.ToString(), "4.0.0");
}

TEST(OutcomeOfOurs, NamesTheAmbiguousCase) {
  const Outcome outcome = Ambiguous("connection lost after the final dot", "mx.ok.test");
  EXPECT_TRUE(outcome.ambiguous);
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.4.2");
  EXPECT_EQ(outcome.cls, BounceClass::kBadConnection);
}

TEST(OutcomeJudgedOtherwise, KeepsWhatThePeerSaid) {
  const Outcome said = FromReply(Scope::kRecipient, 552, "5.5.3", "too many recipients", "mx.ok.test");
  const Outcome judged = said.As(Kind::kTransient);
  EXPECT_EQ(judged.kind, Kind::kTransient);
  EXPECT_EQ(judged.smtp_code, 552);
  EXPECT_EQ(judged.enhanced.ToString(), "4.5.3");
  EXPECT_EQ(judged.ToString(), "552 4.5.3 too many recipients (mx.ok.test)");
}

TEST(CleanedText, CannotBreakALineOrAString) {
  EXPECT_EQ(CleanText("a\r\nb"), "a b");
  EXPECT_EQ(CleanText("  a \t\x01  b  "), "a b");
  EXPECT_EQ(CleanText(absl::string_view("a\0b", 3)), "a b");
  EXPECT_EQ(CleanText("a\x1b[31mb"), "a [31mb");
  EXPECT_EQ(CleanText("a\xc2\x85"
                      "b\xe2\x80\xa8"
                      "c"),
            "a b c");
  EXPECT_EQ(CleanText("M\xfcller \xc3\xbc"), "M?ller ü");
  EXPECT_EQ(CleanText(""), "");
}

TEST(CleanedText, IsCutBetweenCharacters) {
  std::string text(kMaxTextOctets - 1, 'a');
  EXPECT_EQ(CleanText(text + "ü"), text);
  EXPECT_EQ(CleanText(text + "b").size(), kMaxTextOctets);
  EXPECT_TRUE(IsValidUtf8(CleanText(std::string(1 << 20, '\xfc'))));
  EXPECT_EQ(CleanText(std::string(1 << 20, '\xfc')).size(), kMaxTextOctets);
}

TEST(OutcomeNames, AreWords) {
  EXPECT_EQ(KindName(Kind::kPermanent), "permanent");
  EXPECT_EQ(ScopeName(Scope::kSession), "session");
}

}  // namespace
}  // namespace hikyaku::outcome
