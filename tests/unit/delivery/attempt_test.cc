// Attempts: which hosts are tried, over which connections, and what a lost lease ends.
#include "lib/delivery/attempt.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/delivery/attempt_fixture.h"

namespace hikyaku::delivery {
namespace {

TEST_F(AttemptTest, DeliversToTheBestHost) {
  auto mx1 = Mx1();
  auto mx2 = Mx2();
  EXPECT_EQ(One().ToString(), "250 2.0.0 ok (mx1.test [11.0.0.1]:25)");
  EXPECT_EQ(mx1->commands(), (Strings{"EHLO us.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<b@d.test>", "DATA"}));
  EXPECT_EQ(mx1->bodies(), (Strings{"Subject: x\r\n\r\nhello\r\n"}));
  EXPECT_EQ(mx2->connections(), 0);
}

// RFC 3461 §5.2: what the sender wants to be told goes on to a host that offers DSN, whose duty reports then are.
TEST_F(AttemptTest, WhatTheSenderWantsToBeToldIsPassedOnToAHostWithDsn) {
  queue::Lease lease = MakeLease("d.test", {"b@d.test", "c@d.test"});
  storage::v1::Envelope& envelope = *lease.delivery.mutable_envelope();
  envelope.set_returned_content(storage::v1::RETURNED_CONTENT_HEADERS);
  envelope.set_envelope_id("QQ+2B1");
  lease.delivery.mutable_recipients(0)->set_notify(2);
  lease.delivery.mutable_recipients(0)->set_original_recipient("rfc822;B@old.test");
  for (const bool offered : {true, false}) {
    auto mx1 = Mx1(offered ? Strings{"DSN"} : Strings{});
    mx1->On(".", {"250 ok|close"});  // The next one meets another host at this address.
    EXPECT_EQ(Run(lease), Attempt::End::kJudged);
    const std::string mail = offered ? " RET=HDRS ENVID=QQ+2B1" : "";
    const std::string rcpt = offered ? " NOTIFY=SUCCESS ORCPT=rfc822;B@old.test" : "";
    EXPECT_EQ(mx1->commands(), (Strings{"EHLO us.test", "MAIL FROM:<a@sender.test>" + mail, "RCPT TO:<b@d.test>" + rcpt,
                                        "RCPT TO:<c@d.test>", "DATA"}));
    EXPECT_EQ(outcomes_.at(0).reports_passed_on, offered);
    EXPECT_FALSE(outcomes_.at(1).reports_passed_on);
    EXPECT_EQ(ToProto(outcomes_.at(0), clock_.Now()).reports_passed_on(), offered);
  }
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
  loop_.RunReady();  // The second reply arrives.
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

// RFC 3464 §2.3.3: "delivered" is the word for a mailbox; a host that offers DSN says it by itself.
TEST_F(AttemptTest, MailEndsAtLmtpWithoutDsn) {
  routes_ = *RouteTable::Create({{"d.test", "lmtp:[11.0.0.9]:24"}}, 25);
  for (const bool offered : {false, true}) {
    auto box = dialer_->Listen("11.0.0.9:24", offered ? Strings{"DSN"} : Strings{});
    box->On(".", {"250 ok|close"});
    EXPECT_EQ(ToProto(One(), clock_.Now()).final_delivery(), !offered);
  }
  auto box = dialer_->Listen("11.0.0.9:24");
  box->On(".", {"452 4.2.2 over quota"});
  EXPECT_FALSE(One().final_delivery);
  Mx1();
  routes_ = *RouteTable::Create({}, 25);
  EXPECT_FALSE(One().final_delivery) << "a host by SMTP may hand it on";
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
