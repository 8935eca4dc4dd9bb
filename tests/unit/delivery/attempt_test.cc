#include "lib/delivery/attempt.h"

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/dns/fake_resolver.h"
#include "tests/unit/delivery/fake_world.h"
#include "tests/unit/net/run.h"

namespace hikyaku::delivery {
namespace {

using outcome::Kind;
using outcome::Outcome;
using Strings = std::vector<std::string>;

class FakeGuard : public LeaseGuard {
 public:
  bool Begin() override { return begun = alive_; }
  bool alive() const override { return alive_; }
  void Lose() { alive_ = false; }

  bool begun = false;

 private:
  bool alive_ = true;
};

// d.test has two MX hosts: mx1 (11.0.0.1) before mx2 (11.0.0.2).
class AttemptTest : public testing::Test {
 protected:
  AttemptTest() {
    options_.helo = "us.test";
    options_.timeouts.greeting = options_.timeouts.hello = options_.timeouts.mail = absl::Milliseconds(50);
    options_.timeouts.rcpt = options_.timeouts.data = options_.timeouts.dot = absl::Milliseconds(50);
    resolver_.SetMx("d.test", {{10, "mx1.test"}, {20, "mx2.test"}});
    resolver_.SetAddresses("mx1.test", {"11.0.0.1"});
    resolver_.SetAddresses("mx2.test", {"11.0.0.2"});
  }

  ~AttemptTest() override {
    quits_.Cancel();
    dialer_->Cancel();
    while (dialer_->connections() + quits_.size() > 0) Turn();
  }

  void Turn() {
    context_.restart();
    context_.run_one();
  }

  Attempt::End Run(const queue::Lease& lease) {
    auto network = std::make_shared<Network>();
    network->dialer = dialer_;
    network->routes = routes_;
    Attempt attempt({options_, network, resolver_, pool_, clock_}, lease, guard_);
    const Attempt::End end = net::RunTask(context_, attempt.Run());
    outcomes_ = attempt.outcomes();
    return end;
  }

  // The outcomes as "550 5.1.1 text"; the remote host is cut off.
  Strings Verdicts(const queue::Lease& lease) {
    EXPECT_EQ(Run(lease), Attempt::End::kJudged);
    Strings verdicts;
    for (Outcome outcome : outcomes_) {
      outcome.remote_host.clear();
      verdicts.push_back(absl::StrCat(std::string(outcome::KindName(outcome.kind)), " ", outcome.ToString()));
    }
    return verdicts;
  }

  // Of one recipient, b@d.test.
  Outcome One() {
    EXPECT_EQ(Run(MakeLease("d.test", {"b@d.test"})), Attempt::End::kJudged);
    EXPECT_EQ(outcomes_.size(), 1u);
    return outcomes_.at(0);
  }

  std::shared_ptr<FakePeer> Mx1(Strings extensions = {}) { return dialer_->Listen("11.0.0.1:25", extensions); }
  std::shared_ptr<FakePeer> Mx2(Strings extensions = {}) { return dialer_->Listen("11.0.0.2:25", extensions); }

  boost::asio::io_context context_;
  AttemptOptions options_;
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeDialer> dialer_ = std::make_shared<FakeDialer>();
  FakeClock clock_;
  FakeGuard guard_;
  RouteTable routes_{25};
  net::TaskGroup quits_;
  ConnectionPool pool_{PoolOptions(), clock_, quits_, context_.get_executor()};
  std::vector<Outcome> outcomes_;
};

TEST_F(AttemptTest, DeliversToTheBestHost) {
  auto mx1 = Mx1();
  auto mx2 = Mx2();
  EXPECT_EQ(One().ToString(), "250 2.0.0 ok (mx1.test [11.0.0.1]:25)");
  EXPECT_EQ(mx1->commands(), (Strings{"EHLO us.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@d.test>", "DATA"}));
  EXPECT_EQ(mx1->bodies(), (Strings{"Subject: x\r\n\r\nhello\r\n"}));
  EXPECT_EQ(mx2->connections(), 0);
}

TEST_F(AttemptTest, ChunkingAndPipeliningTakeEnvelopeAndBodyAtOnce) {
  auto mx1 = Mx1({"PIPELINING", "CHUNKING"});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(mx1->Count("BDAT"), 1);
  EXPECT_EQ(mx1->bodies(), (Strings{"Subject: x\r\n\r\nhello\r\n"}));
}

// BATTERY N01.
TEST_F(AttemptTest, SecondHostWhenTheFirstRefusesTheConnection) {
  Mx2();
  EXPECT_EQ(One().remote_host, "mx2.test [11.0.0.2]:25");
  EXPECT_EQ(dialer_->dialled(), (Strings{"11.0.0.1:25", "11.0.0.2:25"}));
}

TEST_F(AttemptTest, HostThatIsKnownToBeSilentIsPassedOver) {
  Mx1();
  Mx2();
  pool_.dead_hosts().Failed(*net::ParseEndpoint("11.0.0.1:25"), absl::DeadlineExceededError("silent"),
                            absl::Seconds(30));
  EXPECT_EQ(One().remote_host, "mx2.test [11.0.0.2]:25");
  EXPECT_EQ(dialer_->dialled(), (Strings{"11.0.0.2:25"}));
  clock_.Advance(absl::Seconds(31));
  EXPECT_EQ(One().remote_host, "mx1.test [11.0.0.1]:25");
  EXPECT_EQ(pool_.dead_hosts().size(), 0);
}

TEST_F(AttemptTest, NoHostReachedIsTransientAndNamesTheLast) {
  const Outcome outcome = One();
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.4.1");
  EXPECT_EQ(outcome.remote_host, "mx2.test [11.0.0.2]:25");
  EXPECT_FALSE(guard_.begun);
}

// BATTERY N08.
TEST_F(AttemptTest, TriesAreBounded) {
  std::vector<dns::MxRecord> records;
  for (int i = 0; i < 50; ++i) {
    const std::string host = absl::StrCat("h", i, ".test");
    records.push_back({10, host});
    resolver_.SetAddresses(host, {absl::StrCat("12.0.", i, ".1"), absl::StrCat("12.0.", i, ".2")});
  }
  resolver_.SetMx("d.test", records);
  EXPECT_EQ(One().kind, Kind::kTransient);
  EXPECT_EQ(dialer_->dialled().size(), 10u);
}

TEST_F(AttemptTest, Ipv4WhenIpv6DoesNotAnswer) {
  resolver_.SetAddresses("mx1.test", {"11.0.0.1", "2600::1"});
  dialer_->Fail("[2600::1]:25", absl::DeadlineExceededError("nothing"));
  Mx1();
  EXPECT_EQ(One().remote_host, "mx1.test [11.0.0.1]:25");
}

TEST_F(AttemptTest, OurOwnListenerIsALoop) {
  Mx2();
  dialer_->Fail("11.0.0.1:25", absl::FailedPreconditionError("own listener"));
  const Outcome outcome = One();
  EXPECT_EQ(outcome.kind, Kind::kPermanent);
  EXPECT_EQ(outcome.enhanced.ToString(), "5.4.6");
  EXPECT_EQ(dialer_->dialled().size(), 1u);
}

// ---- Recipients. ----

// BATTERY D01.
TEST_F(AttemptTest, EachRecipientHasItsOwnVerdict) {
  auto mx1 = Mx1();
  mx1->On("RCPT TO:<b@", {"450 4.2.1 b later"});
  mx1->On("RCPT TO:<c@", {"550 5.1.1 no c"});
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"a@d.test", "b@d.test", "c@d.test"})),
            (Strings{"delivered 250 2.0.0 ok", "transient 450 4.2.1 b later", "permanent 550 5.1.1 no c"}));
  EXPECT_EQ(mx1->bodies().size(), 1u);
}

// BATTERY D02.
TEST_F(AttemptTest, NoDataWhenNobodyIsAccepted) {
  auto mx1 = Mx1();
  mx1->On("RCPT TO:<b@", {"550 5.1.1 no b"});
  mx1->On("RCPT TO:<c@", {"550 5.1.1 no c"});
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"b@d.test", "c@d.test"})),
            (Strings{"permanent 550 5.1.1 no b", "permanent 550 5.1.1 no c"}));
  EXPECT_EQ(mx1->Count("DATA"), 0);
}

TEST_F(AttemptTest, RecipientDeferredByTheFirstHostGoesToTheSecondAlone) {
  auto mx1 = Mx1();
  auto mx2 = Mx2();
  mx1->On("RCPT TO:<b@", {"450 4.2.1 later"});
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"a@d.test", "b@d.test"})),
            (Strings{"delivered 250 2.0.0 ok", "delivered 250 2.0.0 ok"}));
  EXPECT_EQ(mx1->Count("RCPT"), 2);
  EXPECT_EQ(mx2->commands()[2], "RCPT TO:<b@d.test>");
  EXPECT_EQ(mx2->Count("RCPT"), 1);
}

TEST_F(AttemptTest, WhatAPeerSaidIsKeptBeforeTheSilenceOfTheNext) {
  Mx1()->On("RCPT", {"450 4.2.1 greylisted"});
  EXPECT_EQ(One().ToString(), "450 4.2.1 greylisted (mx1.test [11.0.0.1]:25)");
}

// BATTERY D11.
TEST_F(AttemptTest, HundredRecipientsATransactionOverOneConnection) {
  auto mx1 = Mx1({"PIPELINING"});
  Strings recipients;
  for (int i = 0; i < 250; ++i) recipients.push_back(absl::StrCat("r", i, "@d.test"));
  Verdicts(MakeLease("d.test", recipients));
  for (const Outcome& outcome : outcomes_) EXPECT_EQ(outcome.kind, Kind::kDelivered);
  EXPECT_EQ(mx1->Count("MAIL"), 3);
  EXPECT_EQ(mx1->Count("RCPT"), 250);
  EXPECT_EQ(mx1->connections(), 1);
}

TEST_F(AttemptTest, EachOfThePipelinedRepliesHasItsOwnTime) {
  auto mx1 = Mx1({"PIPELINING"});
  mx1->On("RCPT", {"slowly 250 ok"});
  options_.timeouts.rcpt = absl::Milliseconds(400);
  Verdicts(MakeLease("d.test", {"a@d.test", "b@d.test", "c@d.test", "e@d.test", "f@d.test"}));
  for (const Outcome& outcome : outcomes_) EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_EQ(mx1->connections(), 1);
}

TEST_F(AttemptTest, PeerThatClosesAfterEachTransactionGetsTheRestOverFreshOnes) {
  auto mx1 = Mx1();
  mx1->On(".", {"250 2.0.0 ok|close"});
  options_.recipients_per_transaction = 1;
  Verdicts(MakeLease("d.test", {"b@d.test", "c@d.test", "e@d.test"}));
  for (const Outcome& outcome : outcomes_) EXPECT_EQ(outcome.kind, Kind::kDelivered) << outcome.ToString();
  EXPECT_EQ(mx1->connections(), 3);
  EXPECT_EQ(mx1->Count("RCPT"), 3);
}

// ---- Where it breaks: BATTERY D03, D05, D08. ----

struct Cell {
  const char* name;
  const char* at;     // The command at mx1.
  const char* reply;  // What it answers, or does.
  const char* wanted;
  bool second_host;  // mx2 was asked, and delivered.
};

class BrokenHost : public AttemptTest, public testing::WithParamInterface<Cell> {};

TEST_P(BrokenHost, IsJudged) {
  const Cell& cell = GetParam();
  auto mx1 = Mx1();
  auto mx2 = Mx2();
  mx1->On(cell.at, {cell.reply});
  Outcome outcome = One();
  EXPECT_EQ(std::string(outcome::KindName(outcome.kind)), cell.wanted) << outcome.ToString();
  EXPECT_EQ(mx2->bodies().size(), cell.second_host ? 1u : 0u);
  EXPECT_EQ(outcome.remote_host, cell.second_host ? "mx2.test [11.0.0.2]:25" : "mx1.test [11.0.0.1]:25");
}

INSTANTIATE_TEST_SUITE_P(Cells, BrokenHost,
                         testing::ValuesIn<Cell>({
                             {"Greeting4xx", "", "450 busy", "delivered", true},
                             {"Greeting554", "", "554 no", "delivered", true},
                             {"Greeting421", "", "421 no|close", "delivered", true},
                             {"GreetingClose", "", "close", "delivered", true},
                             {"GreetingHang", "", "hang", "delivered", true},
                             {"GreetingDrips", "", "drip 220 one octet after another", "delivered", true},
                             {"GreetingNonsense", "", "SSH-2.0-x", "delivered", true},
                             {"Ehlo421", "EHLO", "421 4.3.2 no|close", "delivered", true},
                             {"Ehlo4xx", "EHLO", "450 no", "delivered", true},
                             {"Ehlo502FallsBackToHelo", "EHLO", "502 what", "delivered", false},
                             {"EhloClose", "EHLO", "close", "delivered", true},
                             {"EhloHang", "EHLO", "hang", "delivered", true},
                             {"Mail4xx", "MAIL", "451 4.3.0 later", "delivered", true},
                             {"Mail5xx", "MAIL", "550 5.7.1 no", "permanent", false},
                             {"Mail421", "MAIL", "421 4.3.2 bye|close", "delivered", true},
                             {"MailClose", "MAIL", "close", "delivered", true},
                             {"MailHang", "MAIL", "hang", "delivered", true},
                             {"Rcpt4xx", "RCPT", "450 4.2.1 later", "delivered", true},
                             {"Rcpt550", "RCPT", "550 5.1.1 no", "permanent", false},
                             {"Rcpt552", "RCPT", "552 5.5.3 too many", "delivered", true},
                             {"Rcpt421", "RCPT", "421 4.3.2 bye|close", "delivered", true},
                             {"RcptClose", "RCPT", "close", "delivered", true},
                             {"RcptHang", "RCPT", "hang", "delivered", true},
                             {"RcptDrips", "RCPT", "drip 250 one octet after another", "delivered", true},
                             {"Data4xx", "DATA", "451 4.3.0 later", "delivered", true},
                             {"Data5xx", "DATA", "554 5.6.0 no", "permanent", false},
                             {"DataClose", "DATA", "close", "delivered", true},
                             {"DataHang", "DATA", "hang", "delivered", true},
                             {"Dot4xx", ".", "451 4.3.0 later", "delivered", true},
                             {"Dot5xx", ".", "554 5.6.0 no", "permanent", false},
                             {"Dot421", ".", "421 4.3.2 bye|close", "delivered", true},
                             {"DotCloseIsAmbiguous", ".", "close", "transient", false},
                             {"DotHangIsAmbiguous", ".", "hang", "transient", false},
                             {"DotDripsIsAmbiguous", ".", "drip 250 one octet after another", "transient", false},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

// BATTERY D08: finally transient.
TEST_F(AttemptTest, EveryGreeting554IsTransient) {
  Mx1()->On("", {"554 5.7.1 go away|close"});
  Mx2()->On("", {"554 5.7.1 go away|close"});
  const Outcome outcome = One();
  EXPECT_EQ(outcome.kind, Kind::kTransient);
  EXPECT_EQ(outcome.smtp_code, 554);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.7.1");
}

TEST_F(AttemptTest, SilenceAfterTheDotIsAmbiguousAndAsksNoOther) {
  Mx1()->On(".", {"close"});
  auto mx2 = Mx2();
  const Outcome outcome = One();
  EXPECT_TRUE(outcome.ambiguous);
  EXPECT_EQ(outcome.enhanced.ToString(), "4.4.2");
  EXPECT_EQ(mx2->connections(), 0);
}

// ---- What the host offers. ----

// BATTERY D10.
TEST_F(AttemptTest, LargerThanSizeIsPermanentWithoutMail) {
  auto mx1 = Mx1({"SIZE 10"});
  EXPECT_EQ(One().enhanced.ToString(), "5.3.4");
  EXPECT_EQ(mx1->Count("MAIL"), 0);
  EXPECT_EQ(pool_.idle(), 1u);
}

TEST_F(AttemptTest, SizeZeroIsNoLimit) {
  Mx1({"SIZE 0"});
  EXPECT_EQ(One().kind, Kind::kDelivered);
}

queue::Lease EightBit(const std::string& body) {
  queue::Lease lease = MakeLease("d.test", {"b@d.test"}, body);
  lease.delivery.mutable_envelope()->set_eight_bit(true);
  return lease;
}

constexpr char kEightBit[] =
    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nZürich\r\n";

TEST_F(AttemptTest, EightBitGoesAsItIsTo8BitMime) {
  auto mx1 = Mx1({"8BITMIME"});
  EXPECT_EQ(Run(EightBit(kEightBit)), Attempt::End::kJudged);
  EXPECT_EQ(mx1->bodies(), (Strings{kEightBit}));
  EXPECT_EQ(mx1->commands()[1], "MAIL FROM:<a@sender.test> BODY=8BITMIME");
}

TEST_F(AttemptTest, EightBitIsConvertedForAHostWithout8BitMime) {
  auto mx1 = Mx1();
  EXPECT_EQ(Run(EightBit(kEightBit)), Attempt::End::kJudged);
  EXPECT_EQ(outcomes_.at(0).kind, Kind::kDelivered);
  EXPECT_EQ(mx1->bodies().at(0).find("Zürich"), std::string::npos);
  EXPECT_EQ(mx1->commands()[1], "MAIL FROM:<a@sender.test>");
}

TEST_F(AttemptTest, EightBitThatCannotBeConvertedBounces) {
  Mx1();
  EXPECT_EQ(Run(EightBit("Subject: Zürich\r\n\r\nx\r\n")), Attempt::End::kJudged);
  EXPECT_EQ(outcomes_.at(0).enhanced.ToString(), "5.6.3");
}

TEST_F(AttemptTest, SmtpUtf8IsNeededAndMissing) {
  Mx1({"8BITMIME"});
  queue::Lease lease = MakeLease("d.test", {"b@d.test"});
  lease.delivery.mutable_envelope()->set_smtputf8(true);
  EXPECT_EQ(Run(lease), Attempt::End::kJudged);
  EXPECT_EQ(outcomes_.at(0).enhanced.ToString(), "5.6.7");
}

TEST_F(AttemptTest, UnicodeRecipientBouncesAloneWhereSmtpUtf8IsMissing) {
  auto mx1 = Mx1({"8BITMIME"});
  EXPECT_EQ(
      Verdicts(MakeLease("d.test", {"\u00fc@d.test", "b@d.test"})),
      (Strings{"permanent 5.6.7 the message needs SMTPUTF8, which the host does not offer", "delivered 250 2.0.0 ok"}));
  EXPECT_EQ(mx1->Count("RCPT"), 1);
}

TEST_F(AttemptTest, UnicodeRecipientAloneBouncesWithoutMail) {
  auto mx1 = Mx1();
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"\u00fc@d.test"})),
            (Strings{"permanent 5.6.7 the message needs SMTPUTF8, which the host does not offer"}));
  EXPECT_EQ(mx1->Count("MAIL"), 0);
}

TEST_F(AttemptTest, UnicodeRecipientMakesMailSaySmtpUtf8) {
  auto mx1 = Mx1({"8BITMIME", "SMTPUTF8"});
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"\u00fc@d.test"})), (Strings{"delivered 250 2.0.0 ok"}));
  EXPECT_EQ(mx1->commands()[1], "MAIL FROM:<a@sender.test> SMTPUTF8");
}

// ---- The lease. ----

TEST_F(AttemptTest, LeaseLostBeforeTheDotSendsNoMail) {
  auto mx1 = Mx1();
  mx1->Watch([this](const std::string& command) {
    if (command == "DATA") guard_.Lose();
  });
  EXPECT_EQ(Run(MakeLease("d.test", {"b@d.test"})), Attempt::End::kLost);
  EXPECT_TRUE(mx1->bodies().empty());
  EXPECT_EQ(pool_.idle(), 0u);
}

TEST_F(AttemptTest, LeaseLostBeforeTheTransactionBeginsNone) {
  auto mx1 = Mx1();
  mx1->Watch([this](const std::string& command) {
    if (command.rfind("EHLO", 0) == 0) guard_.Lose();
  });
  EXPECT_EQ(Run(MakeLease("d.test", {"b@d.test"})), Attempt::End::kLost);
  EXPECT_EQ(mx1->Count("MAIL"), 0);
}

TEST_F(AttemptTest, LeaseLostBetweenTransactionsKeepsWhatWasDelivered) {
  auto mx1 = Mx1();
  options_.recipients_per_transaction = 1;
  mx1->On("RCPT TO:<b@", {"450 4.2.1 later"});
  mx1->Watch([this](const std::string& command) {
    if (command == "RCPT TO:<c@d.test>") guard_.Lose();
  });
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"a@d.test", "b@d.test", "c@d.test", "e@d.test"})),
            (Strings{"delivered 250 2.0.0 ok", "transient 450 4.2.1 later",
                     "transient 4.3.2 this service stopped before it could try",
                     "transient 4.3.2 this service stopped before it could try"}));
  EXPECT_EQ(mx1->bodies().size(), 1u);
}

// ---- Kept connections. ----

TEST_F(AttemptTest, SecondMailGoesOverTheKeptConnection) {
  auto mx1 = Mx1();
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(mx1->connections(), 1);
  EXPECT_EQ(mx1->Count("EHLO"), 1);
  EXPECT_EQ(mx1->bodies().size(), 2u);
}

TEST_F(AttemptTest, KeptConnectionToAnyAddressOfTheHostIsUsed) {
  resolver_.SetAddresses("mx1.test", {"2600::1", "11.0.0.1"});
  Mx1();
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(dialer_->dialled(), (Strings{"[2600::1]:25", "11.0.0.1:25"}));
}

struct StaleCase {
  const char* name;
  const char* second_mail;  // What mx1 answers to MAIL on the kept connection.
  std::vector<std::string> extensions;
};

class StaleConnection : public AttemptTest, public testing::WithParamInterface<StaleCase> {};

TEST_P(StaleConnection, IsReplacedByAFreshOneInTheSameAttempt) {
  auto mx1 = Mx1(GetParam().extensions);
  auto mx2 = Mx2();
  mx1->On("MAIL", {"250 ok", GetParam().second_mail, "250 ok"});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(mx1->connections(), 2);
  EXPECT_EQ(mx2->connections(), 0);
}

INSTANTIATE_TEST_SUITE_P(Peers, StaleConnection,
                         testing::ValuesIn<StaleCase>({
                             {"Closed", "close", {}},
                             {"ClosedAfterOneWrite", "close", {"PIPELINING", "CHUNKING"}},
                             {"Says421", "421 4.4.2 idle too long|close", {}},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(AttemptTest, ConnectionThatThePeerClosedWhileIdleIsNotWrittenTo) {
  auto mx1 = Mx1();
  mx1->On(".", {"250 ok|close", "250 ok"});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(mx1->connections(), 2);
  EXPECT_EQ(mx1->Count("MAIL"), 2);
}

// Else the extra reply answers the next MAIL, and what the end of that body is told answers the mail behind it.
TEST_F(AttemptTest, ReplyTooManyShiftsNoVerdictOfTheNextMail) {
  auto mx1 = Mx1({"PIPELINING", "CHUNKING"});
  mx1->On("BDAT", {"250 ok|then 250 again", "550 5.7.1 no"});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  context_.restart();
  context_.poll();  // The second reply arrives.
  EXPECT_EQ(One().kind, Kind::kPermanent);
  EXPECT_EQ(mx1->connections(), 2);
}

TEST_F(AttemptTest, OpenConnectionIsUsedAfterAnIdleTime) {
  auto mx1 = Mx1();
  EXPECT_EQ(One().kind, Kind::kDelivered);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(mx1->connections(), 1);
}

TEST_F(AttemptTest, HangingKeptConnectionIsNoStaleOne) {
  auto mx1 = Mx1();
  auto mx2 = Mx2();
  mx1->On("MAIL", {"250 ok", "hang"});
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(One().remote_host, "mx2.test [11.0.0.2]:25");
  EXPECT_EQ(mx1->connections(), 1);
}

TEST_F(AttemptTest, ConnectionThatTookItsShareOfMessagesSaysQuit) {
  auto mx1 = Mx1();
  for (int i = 0; i < 101; ++i) EXPECT_EQ(One().kind, Kind::kDelivered);
  while (quits_.size() > 0) Turn();
  EXPECT_EQ(mx1->connections(), 2);
  EXPECT_EQ(mx1->Count("QUIT"), 1);
}

// ---- Routes. ----

TEST_F(AttemptTest, RouteWithALiteralGoesThereWithoutDns) {
  routes_ = *RouteTable::Create({{"d.test", "[127.0.0.1]:2525"}}, 25);
  dialer_->Listen("127.0.0.1:2525");
  EXPECT_EQ(One().remote_host, "[127.0.0.1]:2525");
  EXPECT_EQ(resolver_.lookups(), 0);
}

// Routes of other kinds.

TEST_F(AttemptTest, LmtpHasOneVerdictForEachRecipient) {
  routes_ = *RouteTable::Create({{"d.test", "lmtp:[11.0.0.9]"}}, 25);
  auto box = dialer_->Listen("11.0.0.9:24", {"PIPELINING", "CHUNKING"});
  box->On("RCPT TO:<no@", {"550 5.1.1 no such user"});
  box->On(".", {"250 2.0.0 saved\r\n452 4.2.2 over quota\r\n552 5.2.2 over quota"});
  const auto lease = MakeLease("d.test", {"a@d.test", "no@d.test", "b@d.test", "c@d.test"});
  EXPECT_EQ(Verdicts(lease), (Strings{"delivered 250 2.0.0 saved", "permanent 550 5.1.1 no such user",
                                      "transient 452 4.2.2 over quota", "permanent 552 5.2.2 over quota"}));
  EXPECT_EQ(box->Count("LHLO us.test"), 1);
  EXPECT_EQ(box->Count("BDAT"), 0);
}

TEST_F(AttemptTest, LmtpAtASocket) {
  routes_ = *RouteTable::Create({{"d.test", "lmtp:unix:/run/lmtp"}}, 25);
  auto box = dialer_->Listen("0.0.0.0:0");
  EXPECT_EQ(One().ToString(), "250 2.0.0 ok (unix:/run/lmtp)");
  EXPECT_EQ(box->Count("LHLO us.test"), 1);
}

TEST_F(AttemptTest, LmtpAndSmtpAtOneEndpointAreTwoConnections) {
  auto box = dialer_->Listen("11.0.0.9:24");
  routes_ = *RouteTable::Create({{"d.test", "lmtp:[11.0.0.9]:24"}}, 25);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  routes_ = *RouteTable::Create({{"d.test", "[11.0.0.9]:24"}}, 25);
  EXPECT_EQ(One().kind, Kind::kDelivered);
  EXPECT_EQ(box->connections(), 2);
}

TEST_F(AttemptTest, DiscardAsksNobody) {
  routes_ = *RouteTable::Create({{"d.test", "discard:by order"}}, 25);
  EXPECT_EQ(Verdicts(MakeLease("d.test", {"a@d.test", "b@d.test"})),
            (Strings{"delivered 2.0.0 by order", "delivered 2.0.0 by order"}));
  EXPECT_TRUE(guard_.begun);
  EXPECT_TRUE(dialer_->dialled().empty());
}

TEST_F(AttemptTest, RouteThatEndsHereNeedsItsLease) {
  routes_ = *RouteTable::Create({{"d.test", "discard:"}}, 25);
  guard_.Lose();
  EXPECT_EQ(Run(MakeLease("d.test", {"a@d.test"})), Attempt::End::kLost);
}

TEST_F(AttemptTest, RouteBySenderTenantAndStream) {
  routes_ = *RouteTable::Create({{"*", "discard:any"},
                                 {"*", "discard:sender", "sender.test"},
                                 {"*", "discard:tenant", "", "shop"},
                                 {"*", "discard:stream", "", "", "news"}},
                                25);
  auto lease = MakeLease("d.test", {"a@d.test"});
  EXPECT_EQ(Verdicts(lease), (Strings{"delivered 2.0.0 sender"}));
  lease.delivery.mutable_envelope()->clear_sender();
  EXPECT_EQ(Verdicts(lease), (Strings{"delivered 2.0.0 any"}));
  lease.delivery.mutable_envelope()->set_tenant("shop");
  EXPECT_EQ(Verdicts(lease), (Strings{"delivered 2.0.0 tenant"}));
  lease.delivery.mutable_envelope()->set_stream("news");
  EXPECT_EQ(Verdicts(lease), (Strings{"delivered 2.0.0 stream"}));
}

}  // namespace
}  // namespace hikyaku::delivery
