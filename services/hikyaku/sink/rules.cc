#include "services/hikyaku/sink/rules.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/address/domain.h"
#include "lib/address/literal.h"
#include "lib/base/check.h"
#include "lib/base/status_macros.h"
#include "lib/base/units.h"

namespace hikyaku::sink {
namespace {

constexpr std::pair<absl::string_view, Stage> kStages[] = {
    {"connect", Stage::kConnect}, {"ehlo", Stage::kEhlo}, {"mail", Stage::kMail},
    {"rcpt", Stage::kRcpt},       {"data", Stage::kData}, {"dot", Stage::kDot},
};

absl::string_view TakeWord(absl::string_view* text) {
  *text = absl::StripLeadingAsciiWhitespace(*text);
  const absl::string_view word = text->substr(0, text->find(' '));
  text->remove_prefix(word.size());
  return word;
}

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::Status ParseSelector(absl::string_view text, Rule* rule) {
  if (text == "*") return absl::OkStatus();
  if (const absl::StatusOr<address::IpAddress> ip = address::IpAddress::Parse(text); ip.ok()) {
    rule->selects = Rule::Selects::kEndpoint;
    rule->text = ip->ToString();
    return absl::OkStatus();
  }
  if (const absl::StatusOr<net::Endpoint> endpoint = net::ParseEndpoint(text); endpoint.ok()) {
    rule->selects = Rule::Selects::kEndpoint;
    rule->text = endpoint->address.ToString();
    rule->port = endpoint->port;
    return absl::OkStatus();
  }
  const std::size_t at = text.rfind('@');
  if (at == absl::string_view::npos || text.size() == 1) {
    return Bad(absl::StrCat("\"", text, "\" selects nothing: write user@domain, user@, @domain, IP, IP:PORT or *"));
  }
  if (at + 1 == text.size()) {
    rule->selects = Rule::Selects::kLocalPart;
    rule->text = std::string(text.substr(0, at));
  } else if (at == 0) {
    ASSIGN_OR_RETURN(rule->text, address::ToALabel(text.substr(1)));
    rule->selects = Rule::Selects::kDomain;
  } else {
    ASSIGN_OR_RETURN(const address::Address address, address::ParseAddress(text));
    rule->selects = Rule::Selects::kAddress;
    rule->text = address.ToString();
  }
  return absl::OkStatus();
}

absl::Status ParseStage(absl::string_view word, Rule* rule) {
  for (const auto& [name, stage] : kStages) {
    if (name != word) continue;
    rule->stage = stage;
    return absl::OkStatus();
  }
  return Bad(absl::StrCat("\"", word, "\" is no stage: write connect, ehlo, mail, rcpt, data or dot"));
}

bool IsEnhancedCode(absl::string_view word) {
  const std::vector<absl::string_view> parts = absl::StrSplit(word, '.');
  if (parts.size() != 3) return false;
  int number = 0;
  for (const absl::string_view part : parts) {
    if (part.empty() || part.size() > 3 || !absl::ascii_isdigit(part[0]) || !absl::SimpleAtoi(part, &number))
      return false;
  }
  return parts[0] == "4" || parts[0] == "5";
}

absl::Status ParseReply(absl::string_view text, Rule* rule) {
  smtp::Reply reply;
  const absl::string_view code = TakeWord(&text);
  if (code.size() != 3 || !absl::SimpleAtoi(code, &reply.code) || reply.code < 400 || reply.code > 599) {
    return Bad(absl::StrCat("\"", code, "\" is no code of a refusal: write 400 to 599"));
  }
  absl::string_view rest = text;
  if (const absl::string_view word = TakeWord(&rest); IsEnhancedCode(word)) {
    reply.enhanced = std::string(word);
    text = rest;
  }
  reply.text = std::string(absl::StripAsciiWhitespace(text));
  if (reply.text.empty()) reply.text = "scripted";
  rule->answer.refusal = reply;
  return absl::OkStatus();
}

absl::Status ParseAction(absl::string_view text, Rule* rule) {
  for (;;) {
    const absl::string_view word = TakeWord(&text);
    if (word == "first") {
      const absl::string_view count = TakeWord(&text);
      if (!absl::SimpleAtoi(count, &rule->first) || rule->first < 1) {
        return Bad(absl::StrCat("\"", count, "\" is no count: write first N with N from 1"));
      }
    } else if (word == "at") {
      RETURN_IF_ERROR(ParseStage(TakeWord(&text), rule));
    } else if (word == "delay") {
      ASSIGN_OR_RETURN(rule->answer.delay, ParseDuration(TakeWord(&text)));
    } else if (word == "reply") {
      return ParseReply(text, rule);
    } else {
      rule->answer.drop = word == "drop";
      rule->answer.lose = word == "lose";
      const bool waits_only = word.empty() && rule->answer.delay > absl::ZeroDuration();
      if (!rule->answer.drop && !rule->answer.lose && word != "accept" && !waits_only) {
        return Bad(absl::StrCat("\"", word, "\" is no action: write accept, reply CODE TEXT, drop or lose"));
      }
      if (const absl::string_view more = absl::StripAsciiWhitespace(text); !more.empty()) {
        return Bad(absl::StrCat("\"", more, "\" follows the action: first, at and delay stand before it"));
      }
      return absl::OkStatus();
    }
  }
}

// The leading letters of a local part, in lower case.
std::string Word(absl::string_view local) {
  std::size_t n = 0;
  while (n < local.size() && absl::ascii_isalpha(local[n])) ++n;
  return absl::AsciiStrToLower(local.substr(0, n));
}

bool SelectsRecipient(const Rule& rule, const address::Address& recipient) {
  switch (rule.selects) {
    case Rule::Selects::kAddress: return rule.text == recipient.ToString();
    case Rule::Selects::kLocalPart: return rule.text == recipient.local;
    case Rule::Selects::kDomain: return rule.text == recipient.domain;
    case Rule::Selects::kWord: return rule.text == Word(recipient.local);
    default: return false;
  }
}

// What `first N` counts by, if the rule fits: the recipient, or the address where there is none yet.
std::optional<std::string> Match(const Rule& rule, const net::Endpoint& local,
                                 absl::Span<const address::Address> recipients) {
  bool fits = rule.selects == Rule::Selects::kAll;
  if (rule.selects == Rule::Selects::kEndpoint) {
    fits = rule.text == local.address.ToString() && (rule.port == 0 || rule.port == local.port);
  }
  if (fits) return recipients.empty() ? local.text() : recipients[0].ToString();
  for (const address::Address& recipient : recipients) {
    if (SelectsRecipient(rule, recipient)) return recipient.ToString();
  }
  return std::nullopt;
}

}  // namespace

const std::vector<std::pair<std::string, std::string>> kWordRules = {
    {"soft", "reply 450 4.2.1 The mailbox is busy, try later"},
    {"full", "reply 452 4.2.2 The mailbox is full"},
    {"hard", "reply 550 5.1.1 No such user here"},
    {"grey", "first 1 reply 451 4.7.1 Greylisted, try again"},
    {"dotsoft", "at dot reply 451 4.3.0 Try again later"},
    {"dothard", "at dot reply 554 5.6.0 The content is refused"},
    {"slow", "at dot delay 5s accept"},
    {"hang", "at dot delay 20m drop"},
    {"drop", "at dot drop"},
    {"lose", "at dot lose"},
};

absl::StatusOr<Rule> ParseRule(absl::string_view text) {
  const auto in_rule = [&](const absl::Status& status) {
    return Bad(absl::StrCat("rule \"", text, "\": ", std::string(status.message())));
  };
  const std::size_t equals = text.find('=');
  if (equals == absl::string_view::npos)
    return in_rule(Bad("has no =: write SELECTOR=ACTION, as in soft@=reply 450 busy"));
  Rule rule;
  if (absl::Status s = ParseSelector(absl::StripAsciiWhitespace(text.substr(0, equals)), &rule); !s.ok())
    return in_rule(s);
  if (absl::Status s = ParseAction(text.substr(equals + 1), &rule); !s.ok()) return in_rule(s);
  const bool early = rule.stage < Stage::kRcpt;
  if (early && rule.selects != Rule::Selects::kAll && rule.selects != Rule::Selects::kEndpoint) {
    return in_rule(Bad("no recipient is known at that stage yet: select with *, IP or IP:PORT"));
  }
  if (rule.answer.lose && rule.stage != Stage::kDot) return in_rule(Bad("lose needs \"at dot\" before it"));
  return rule;
}

Rules::Rules(std::vector<Rule> rules, bool words) : rules_(std::move(rules)) {
  if (!words) return;
  for (const auto& [word, action] : kWordRules) {
    absl::StatusOr<Rule> rule = ParseRule(absl::StrCat(word, "@=", action));
    HIKYAKU_CHECK(rule.ok());
    rule->selects = Rule::Selects::kWord;
    rules_.push_back(*std::move(rule));
  }
}

Answer Rules::At(Stage stage, const net::Endpoint& local, absl::Span<const address::Address> recipients) {
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (rules_[i].stage != stage) continue;
    const std::optional<std::string> key = Match(rules_[i], local, recipients);
    if (!key.has_value()) continue;
    if (rules_[i].first > 0 && Exhausted(i, *key)) return {};
    return rules_[i].answer;
  }
  return {};
}

bool Rules::Exhausted(std::size_t rule, const std::string& key) {
  const absl::MutexLock lock(&mutex_);
  const auto at = std::make_pair(rule, key);
  if (counts_.size() >= kMaxCounts && !counts_.contains(at)) return true;
  int& count = counts_[at];
  if (count >= rules_[rule].first) return true;
  ++count;
  return false;
}

}  // namespace hikyaku::sink
