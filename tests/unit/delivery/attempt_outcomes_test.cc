// Attempts: what each recipient is told, by where it breaks and what the host offers.
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/delivery/attempt_fixture.h"

namespace hikyaku::delivery {
namespace {

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

}  // namespace
}  // namespace hikyaku::delivery
