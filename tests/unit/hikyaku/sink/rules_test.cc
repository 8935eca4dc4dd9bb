#include "services/hikyaku/sink/rules.h"

#include <gtest/gtest.h>

namespace hikyaku::sink {
namespace {

const net::Endpoint kLocal = *net::ParseEndpoint("127.0.0.2:2526");

std::vector<address::Address> Recipients(const std::vector<std::string>& texts) {
  std::vector<address::Address> recipients;
  for (const std::string& text : texts) recipients.push_back(*address::ParseAddress(text));
  return recipients;
}

struct AnswerCase {
  const char* name;
  std::vector<std::string> rules;
  Stage stage;
  std::vector<std::string> recipients;
  std::string answer;  // "550 5.1.1 text", "drop", "lose", "accept", after "delay ".
};

std::string Describe(const Answer& answer) {
  std::string text = answer.delay > absl::ZeroDuration() ? "delay " : "";
  if (answer.drop) return text + "drop";
  if (answer.lose) return text + "lose";
  return text + (answer.refusal.has_value() ? answer.refusal->ToString() : "accept");
}

class RuleAnswers : public testing::TestWithParam<AnswerCase> {};

TEST_P(RuleAnswers, AtAStage) {
  std::vector<Rule> rules;
  for (const std::string& text : GetParam().rules) {
    const absl::StatusOr<Rule> rule = ParseRule(text);
    ASSERT_TRUE(rule.ok()) << rule.status();
    rules.push_back(*rule);
  }
  Rules all(rules, /*words=*/true);
  EXPECT_EQ(Describe(all.At(GetParam().stage, kLocal, Recipients(GetParam().recipients))), GetParam().answer);
}

INSTANTIATE_TEST_SUITE_P(
    Sink, RuleAnswers,
    testing::ValuesIn<AnswerCase>({
        {"NothingAccepts", {}, Stage::kRcpt, {"a@x.test"}, "accept"},
        {"Address", {"a@x.test=reply 550 5.1.1 no"}, Stage::kRcpt, {"a@x.test"}, "550 5.1.1 no"},
        {"OtherAddress", {"a@x.test=reply 550 no"}, Stage::kRcpt, {"b@x.test"}, "accept"},
        {"LocalPart", {"a@=reply 450 no"}, Stage::kRcpt, {"a@y.test"}, "450 no"},
        {"Domain", {"@X.Test=reply 450 no"}, Stage::kRcpt, {"b@x.test"}, "450 no"},
        {"SubdomainIsAnother", {"@x.test=reply 450 no"}, Stage::kRcpt, {"b@y.x.test"}, "accept"},
        {"Everything", {"*=drop"}, Stage::kRcpt, {"b@x.test"}, "drop"},
        {"FirstRuleWins", {"a@=accept", "*=drop"}, Stage::kRcpt, {"a@x.test"}, "accept"},
        {"StageIsRcptByDefault", {"*=drop"}, Stage::kDot, {"a@x.test"}, "accept"},
        {"EnhancedCodeIsOptional", {"*=reply 421 5 bad 4.0.0"}, Stage::kRcpt, {"a@x.test"}, "421 5 bad 4.0.0"},
        {"TextIsOptional", {"*=reply 450"}, Stage::kRcpt, {"a@x.test"}, "450 scripted"},
        {"AtConnect", {"*=at connect reply 421 4.3.2 down"}, Stage::kConnect, {}, "421 4.3.2 down"},
        {"ListenerByIp", {"127.0.0.2=at ehlo drop"}, Stage::kEhlo, {}, "drop"},
        {"ListenerByPort", {"127.0.0.2:2526=at mail drop"}, Stage::kMail, {}, "drop"},
        {"OtherListener", {"127.0.0.2:25=at mail drop"}, Stage::kMail, {}, "accept"},
        {"AnyRecipientOfTheMail", {"b@=at dot reply 554 no"}, Stage::kDot, {"a@x.test", "b@x.test"}, "554 no"},
        {"DelayAlone", {"*=at data delay 5s"}, Stage::kData, {"a@x.test"}, "delay accept"},
        {"DelayBeforeAVerb", {"*=delay 5s reply 450 x"}, Stage::kRcpt, {"a@x.test"}, "delay 450 x"},
        {"Lose", {"*=at dot lose"}, Stage::kDot, {"a@x.test"}, "lose"},
        {"WordSoft", {}, Stage::kRcpt, {"soft@x.test"}, "450 4.2.1 The mailbox is busy, try later"},
        {"WordWithTail", {}, Stage::kRcpt, {"Hard+7@x.test"}, "550 5.1.1 No such user here"},
        {"WordSlow", {}, Stage::kDot, {"slow@x.test"}, "delay accept"},
        {"WordDrop", {}, Stage::kDot, {"drop3@x.test"}, "drop"},
        {"WordIsWhole", {}, Stage::kRcpt, {"software@x.test"}, "accept"},
        {"RuleBeforeWord", {"soft@=accept"}, Stage::kRcpt, {"soft@x.test"}, "accept"},
    }),
    [](const auto& info) { return info.param.name; });

TEST(Rules, FirstNCountsForEachRecipient) {
  Rules rules({*ParseRule("@x.test=first 2 reply 451 later")}, false);
  for (const char* recipient : {"a@x.test", "b@x.test"}) {
    const auto at = Recipients({recipient});
    EXPECT_EQ(Describe(rules.At(Stage::kRcpt, kLocal, at)), "451 later");
    EXPECT_EQ(Describe(rules.At(Stage::kRcpt, kLocal, at)), "451 later");
    EXPECT_EQ(Describe(rules.At(Stage::kRcpt, kLocal, at)), "accept");
    EXPECT_EQ(Describe(rules.At(Stage::kRcpt, kLocal, at)), "accept");
  }
}

TEST(Rules, WordsCanBeSwitchedOff) {
  Rules rules({}, false);
  EXPECT_EQ(Describe(rules.At(Stage::kRcpt, kLocal, Recipients({"soft@x.test"}))), "accept");
}

TEST(ParseRule, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"soft@", "rule \"soft@\": has no ="},
      {"soft=drop", "rule \"soft=drop\": \"soft\" selects nothing"},
      {"@=drop", "rule \"@=drop\": \"@\" selects nothing"},
      {"*=", "rule \"*=\": \"\" is no action"},
      {"*=explode", "rule \"*=explode\": \"explode\" is no action"},
      {"*=reply 250 ok", "rule \"*=reply 250 ok\": \"250\" is no code of a refusal"},
      {"*=reply abc", "rule \"*=reply abc\": \"abc\" is no code of a refusal"},
      {"*=at lunch drop", "rule \"*=at lunch drop\": \"lunch\" is no stage"},
      {"*=first 0 drop", "rule \"*=first 0 drop\": \"0\" is no count"},
      {"*=delay 5 drop", "rule \"*=delay 5 drop\": \"5\" is not a duration"},
      {"*=drop at dot", "rule \"*=drop at dot\": \"at dot\" follows the action"},
      {"a@=at connect drop", "rule \"a@=at connect drop\": no recipient is known"},
      {"*=lose", "rule \"*=lose\": lose needs \"at dot\""},
  };
  for (const auto& [text, error] : cases) {
    const absl::StatusOr<Rule> rule = ParseRule(text);
    ASSERT_FALSE(rule.ok()) << text;
    EXPECT_EQ(std::string(rule.status().message()).substr(0, std::string(error).size()), error);
  }
}

}  // namespace
}  // namespace hikyaku::sink
