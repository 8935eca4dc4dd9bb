#include "lib/delivery/verdict.h"

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

using outcome::Outcome;
using smtp::Reply;
using smtp::Step;
using smtp::TransactionResult;

constexpr char kRemote[] = "mx.example.net [192.0.2.1]:25";

Reply R(int code, std::string enhanced = "", std::string text = "words") { return {code, enhanced, text}; }

// One transaction with one recipient, unless `rcpt` has more. A code of 0 is a reply that did not come.
struct Talk {
  int mail = 250;
  std::vector<int> rcpt = {250};
  int data = 354;
  int final = 0;
  bool committed = false;
  std::string broke;
};

std::optional<Reply> Maybe(int code) { return code == 0 ? std::nullopt : std::optional<Reply>(R(code)); }

TransactionResult Result(const Talk& talk) {
  TransactionResult result;
  result.mail = Maybe(talk.mail);
  for (const int code : talk.rcpt) result.rcpt.push_back(Maybe(code));
  result.data = Maybe(talk.data);
  result.final = Maybe(talk.final);
  result.committed = talk.committed;
  result.broke = talk.broke;
  std::vector<std::optional<Reply>> all = result.rcpt;
  all.insert(all.end(), {result.mail, result.data, result.final});
  for (const auto& reply : all) {
    if (reply && reply->code == 421) result.closing = reply;
  }
  return result;
}

Judgement First(const Talk& talk) { return JudgeTransaction(Result(talk), kRemote).at(0); }

// What becomes of recipient `i` of two that were accepted, when these are the last words of LMTP on each.
Judgement Lmtp(const std::vector<int>& finals, std::size_t i) {
  TransactionResult result = Result({.rcpt = {250, 250}, .committed = true});
  for (const int code : finals) result.rcpt_final.push_back(Maybe(code));
  if (result.rcpt_final.back()) result.final = result.rcpt_final.back();
  return JudgeTransaction(result, kRemote).at(i);
}

// Before a transaction, `then` is fixed by where the judgement is made: see plan.cc and attempt.cc.
Judgement Last(Outcome outcome) { return {std::move(outcome), false}; }
Judgement Next(Outcome outcome) { return {std::move(outcome), true}; }

https::Answer Answered(int status) {
  https::Answer answer;
  answer.status = status;
  return answer;
}

https::Answer Unanswered(https::Result result) {
  https::Answer answer;
  answer.result = result;
  answer.why = "why";
  return answer;
}

std::map<std::string, Judgement> Rows() {
  using absl::StatusCode;
  const auto mx = [](StatusCode code) { return Last(JudgeMxLookup(absl::Status(code, "why"), "example.net")); };
  const auto host = [](StatusCode code) { return Next(JudgeHostLookup(absl::Status(code, "why"), "mx.example.net")); };
  const auto dial = [](StatusCode code) { return Next(JudgeConnect(absl::Status(code, "why"), kRemote)); };
  const auto refusal = [](Step step, int code) { return Next(JudgeRefusal(step, R(code), kRemote)); };
  TransactionResult disagrees = Result({.rcpt = {550}, .data = 0});
  disagrees.rcpt[0] = R(550, "", "4.2.0 mailbox busy");
  return {
      {"NoSuchDomain", mx(StatusCode::kNotFound)},
      {"NameThatDnsCannotCarry", mx(StatusCode::kInvalidArgument)},
      {"NullMx", mx(StatusCode::kFailedPrecondition)},
      {"DnsServerFails", mx(StatusCode::kUnavailable)},
      {"DnsTimesOut", mx(StatusCode::kDeadlineExceeded)},
      {"MxHostDoesNotExist", host(StatusCode::kNotFound)},
      {"MxHostLookupFails", host(StatusCode::kUnavailable)},
      {"OnlyProhibitedAddresses", Last(JudgeProhibited(absl::PermissionDeniedError("loopback"), "example.net"))},
      {"BestMxIsOurselves", Last(JudgeLoop("example.net", "mail.example.jp"))},
      {"RouteLeadsNowhere", Last(BlameRoute(JudgeMxLookup(absl::NotFoundError(""), "relay.example.net")))},
      {"NoDkimKey", Last(JudgeUnsigned("the mail waits for a DKIM key"))},
      {"ConnectRefused", dial(StatusCode::kUnavailable)},
      {"ConnectTimesOut", dial(StatusCode::kDeadlineExceeded)},
      {"ConnectProhibited", dial(StatusCode::kPermissionDenied)},
      {"NoDescriptorLeft", dial(StatusCode::kResourceExhausted)},
      {"SourceAddressMissing", dial(StatusCode::kInvalidArgument)},
      {"GreetingRefuses5xx", refusal(Step::kGreeting, 554)},
      {"GreetingSays421", refusal(Step::kGreeting, 421)},
      {"EhloRefused4xx", refusal(Step::kHello, 450)},
      {"HeloRefused5xx", refusal(Step::kHello, 550)},
      {"SessionBreaksEarly", Next(JudgeBroken("timeout at greeting", kRemote))},
      {"TlsNotOffered", Next(JudgeTls({TlsFailure::What::kDenied, ""}, "require (delivery.tls)", kRemote))},
      {"TlsRefused", Next(JudgeTls({TlsFailure::What::kDenied, "454 no"}, "require (delivery.tls)", kRemote))},
      {"TlsHandshakeFails", Next(JudgeTls({TlsFailure::What::kHandshake, "x"}, "opportunistic (x)", kRemote))},
      {"TlsHostUnproved", Next(JudgeTls({TlsFailure::What::kUnproved, "expired"}, "verify (x)", kRemote))},
      {"TlsHostNotListed", Next(JudgeNotInSts("mx.example.net", "example.net"))},
      {"TlsCannotBeAsPolicySays", Next(JudgeTlsUnmet("dane (x)", "no records", "mx.test"))},
      {"LoginRefused", Next(JudgeLoginRefused(R(535), "delivery.routes[0]", kRemote))},
      {"NoLogin", Next(JudgeNoLogin("no TLS", "delivery.routes[0]", kRemote))},
      {"UncertainName", Next(JudgeUncertainName("mx1.example.net"))},
      {"NoRequireTls", Next(JudgeNoRequireTls(kRemote))},
      {"RequireTlsNowhere", Last(JudgeRequireTlsNowhere("example.net"))},
      {"NoSource", Next(JudgeNoSource("pool \"x\" has no source for IPv6"))},
      {"LargerThanSize", Last(JudgeTooLarge(2000, 1000, kRemote))},
      {"EightBitCannotBeConverted", Last(JudgeNo8Bit("8-bit header", kRemote))},
      {"NeedsSmtpUtf8", Last(JudgeNoSmtpUtf8(kRemote))},
      {"AddressBreaksTheLine", Last(JudgeUnsendable("an address that cannot be sent"))},
      {"Delivered", First({.final = 250, .committed = true})},
      {"MailRefused4xx", First({.mail = 451, .rcpt = {0}, .data = 0})},
      {"MailRefused5xx", First({.mail = 550, .rcpt = {0}, .data = 0})},
      {"MailSays421", First({.mail = 421, .rcpt = {0}, .data = 0})},
      {"MailRefusedBeforePipelinedRcpt", First({.mail = 550, .rcpt = {503}, .data = 503})},
      {"RcptRefused4xx", First({.rcpt = {450, 250}, .final = 250, .committed = true})},
      {"RcptRefused5xx", First({.rcpt = {550, 250}, .final = 250, .committed = true})},
      {"RcptSays552", First({.rcpt = {552, 250}, .final = 250, .committed = true})},
      {"RcptSays421", First({.rcpt = {421}, .data = 0})},
      {"AcceptedBeforeRcptSays421", First({.rcpt = {250, 421}, .data = 0})},
      {"RcptAcceptedDataRefused4xx", First({.data = 451})},
      {"RcptAcceptedDataRefused5xx", First({.data = 554})},
      {"DotRefused4xx", First({.final = 451, .committed = true})},
      {"DotRefused5xx", First({.final = 554, .committed = true})},
      {"DotSays421", First({.final = 421, .committed = true})},
      {"BrokenBeforeTheEnd", First({.broke = "timeout at body"})},
      {"RcptRefusedThenBroken", First({.rcpt = {550, 250}, .broke = "timeout at body"})},
      {"LostAfterTheEnd", First({.committed = true, .broke = "timeout at end of data"})},
      {"RcptRefusedThenLostAfterTheEnd", First({.rcpt = {550, 250}, .committed = true, .broke = "closed"})},
      {"EnhancedOfAnotherClass", JudgeTransaction(disagrees, kRemote).at(0)},
      {"LmtpRefused4xx", Lmtp({452, 250}, 0)},
      {"LmtpRefused5xx", Lmtp({552, 250}, 0)},
      {"LmtpSilentAfterTheEnd", Lmtp({250, 0}, 1)},
      {"Discarded", Last(JudgeDiscarded("by the operator"))},
      {"Captured", Last(JudgeCaptured("/capture/x"))},
      {"NotCaptured", Last(JudgeNotCaptured(absl::ResourceExhaustedError("no space"), "/capture/x"))},
      {"PostTaken", Last(JudgePosted(Answered(201)))},
      {"PostRefusedForNow", Last(JudgePosted(Answered(503)))},
      {"PostRefused", Last(JudgePosted(Answered(404)))},
      {"PostRedirected", Last(JudgePosted(Answered(302)))},
      {"PostHostUnknown", Last(JudgePosted(Unanswered(https::Result::kNoAddress)))},
      {"PostHostNotReached", Last(JudgePosted(Unanswered(https::Result::kUnreachable)))},
      {"PostHostUnproved", Last(JudgePosted(Unanswered(https::Result::kCertificate)))},
      {"PostUnanswered", Last(JudgePosted(Unanswered(https::Result::kTimeout)))},
      {"PostToABadUrl", Last(JudgeBadUrl(absl::InvalidArgumentError("the URL has a login")))},
      {"RejectedByRoute", Last(JudgeRejected("", "no mail"))},
      {"StoppedBeforeItsTurn", Last(JudgeStopped())},
      {"NoHostWasReached", Last(JudgeUntried("example.net"))},
  };
}

struct Documented {
  std::string scope, verdict, status, then;
};

// The table of docs/failure.md: | `Row` | What broke | Scope | Verdict | Status | Then |
std::map<std::string, Documented> ReadPage() {
  std::ifstream page("docs/failure.md");
  std::map<std::string, Documented> rows;
  for (std::string line; std::getline(page, line);) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (cells.size() != 6 || !absl::StartsWith(cells[0], "| `")) continue;
    const std::string name = cells[0].substr(3, cells[0].size() - 4);
    rows[name] = {cells[2], cells[3], cells[4], cells[5] == "next |" ? "next" : "last"};
  }
  return rows;
}

std::string Verdict(const Outcome& outcome) {
  return absl::StrCat(std::string(outcome::KindName(outcome.kind)), outcome.ambiguous ? ", ambiguous" : "");
}

TEST(FailurePage, HasTheRowsOfThisTest) {
  const auto page = ReadPage();
  const auto rows = Rows();
  for (const auto& [name, row] : page) EXPECT_TRUE(rows.count(name)) << name << " is not tested";
  for (const auto& [name, row] : rows) EXPECT_TRUE(page.count(name)) << name << " is not in docs/failure.md";
}

TEST(FailurePage, SaysWhatTheCodeDoes) {
  const auto page = ReadPage();
  for (const auto& [name, judgement] : Rows()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(page.count(name));
    const Documented& row = page.at(name);
    const Outcome& outcome = judgement.outcome;
    EXPECT_EQ(std::string(outcome::ScopeName(outcome.scope)), row.scope);
    EXPECT_EQ(Verdict(outcome), row.verdict);
    const std::string status = outcome.enhanced.ToString();
    EXPECT_EQ(row.status.back() == 'X' ? absl::StrCat(status.substr(0, 2), "X") : status, row.status);
    EXPECT_EQ(judgement.try_next ? "next" : "last", row.then);
  }
}

TEST(Verdict, PromisesWhatAnOutcomePromises) {
  for (const auto& [name, judgement] : Rows()) {
    SCOPED_TRACE(name);
    EXPECT_FALSE(judgement.outcome.text.empty());
    EXPECT_NE(judgement.outcome.enhanced.cls, 0);
    EXPECT_TRUE(!judgement.try_next || judgement.outcome.kind == outcome::Kind::kTransient);
  }
}

// BATTERY D01.
TEST(Transaction, JudgesEachRecipientByItsOwnReply) {
  const auto all = JudgeTransaction(Result({.rcpt = {250, 450, 550}, .final = 250, .committed = true}), kRemote);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].outcome.kind, outcome::Kind::kDelivered);
  EXPECT_EQ(all[1].outcome.kind, outcome::Kind::kTransient);
  EXPECT_EQ(all[2].outcome.kind, outcome::Kind::kPermanent);
}

// The one write of CHUNKING: nothing at all was answered.
TEST(Transaction, SilenceAfterOneWriteIsAmbiguousForAll) {
  const auto all =
      JudgeTransaction(Result({.mail = 0, .rcpt = {0, 0}, .data = 0, .committed = true, .broke = "timeout"}), kRemote);
  for (const Judgement& judgement : all) EXPECT_TRUE(judgement.outcome.ambiguous);
}

// BATTERY D07: class from the basic code; the text is kept.
TEST(Reply, BasicCodeDecidesAndTextIsKept) {
  struct Case {
    Reply reply;
    const char* wanted;
  };
  const std::vector<Case> cases = {
      {R(550, "5.1.1", "x"), "550 5.1.1 x"},
      {R(550, "", "x"), "550 5.0.0 x"},
      {R(450, "", "5.1.1 x"), "450 4.0.0 5.1.1 x"},
      {R(550, "", "4.2.0 x"), "550 5.0.0 4.2.0 x"},
  };
  for (const Case& c : cases) {
    TransactionResult result = Result({.data = 0});
    result.rcpt[0] = c.reply;
    EXPECT_EQ(JudgeTransaction(result, "h").at(0).outcome.ToString(), absl::StrCat(c.wanted, " (h)"));
  }
}

TEST(Proto, CarriesAllFieldsAndCutsTheText) {
  std::string text(1023, 'a');
  text += "é";  // Two octets, the second of which is the 1,025th.
  Judgement judgement = First({.rcpt = {550}, .data = 0});
  judgement.outcome.text = text;
  const v1::Outcome proto = ToProto(judgement.outcome, absl::FromUnixMicros(1'500'000));
  EXPECT_EQ(proto.kind(), v1::Outcome::KIND_PERMANENT);
  EXPECT_EQ(proto.scope(), v1::Outcome::SCOPE_RECIPIENT);
  EXPECT_EQ(proto.smtp_code(), 550);
  EXPECT_EQ(proto.enhanced_code(), "5.0.0");
  EXPECT_EQ(proto.text(), std::string(1023, 'a'));
  EXPECT_EQ(proto.remote_host(), kRemote);
  EXPECT_FALSE(proto.bounce_class().empty());
  EXPECT_EQ(proto.time().seconds(), 1);
  EXPECT_EQ(proto.time().nanos(), 500'000'000);
}

}  // namespace
}  // namespace hikyaku::delivery
