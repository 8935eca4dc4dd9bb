// The opening, the reuse and the loss of a client session, and hostile peers.
#include "lib/smtp/client_session.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/smtp/client_timeouts.h"
#include "tests/unit/smtp/client_dialogue.h"

namespace hikyaku::smtp {
namespace {

struct OpeningCase {
  const char* name;
  std::vector<Turn> turns;  // The client's write before each reply; nothing before the greeting.
  Want ends;
  int refusal;  // 0: none.
  bool broke;
};

class ClientOpening : public testing::TestWithParam<OpeningCase> {};

TEST_P(ClientOpening, Ends) {
  ClientDialogue client;
  std::string written;
  for (const Turn& turn : GetParam().turns) {
    EXPECT_EQ(written, turn.client);
    written = client.Says(turn.peer);
  }
  EXPECT_EQ(written, "");
  EXPECT_EQ(client.want(), GetParam().ends);
  EXPECT_EQ(client.session().refusal() ? client.session().refusal()->code : 0, GetParam().refusal);
  EXPECT_EQ(!client.session().broke().empty(), GetParam().broke) << client.session().broke();
}

const std::string kEhlo = "EHLO out.ours.test\r\n";
const std::string kHelo = "HELO out.ours.test\r\n";

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section31, ClientOpening,
    testing::ValuesIn<OpeningCase>({
        {"Ehlo", {{"", "220-mx\r\n220 hi\r\n"}, {kEhlo, kAll}}, Want::kIdle, 0, false},
        {"GreetingRefused", {{"", "554 no\r\n"}}, Want::kClose, 554, false},
        {"GreetingBusy", {{"", "421 busy\r\n"}}, Want::kClose, 421, false},
        {"GreetingIsNone", {{"", "SSH-2.0-x\r\n"}}, Want::kClose, 0, true},
        {"HeloFallback", {{"", "220 mx\r\n"}, {kEhlo, "502 what\r\n"}, {kHelo, "250 mx\r\n"}}, Want::kIdle, 0, false},
        {"HeloRefused", {{"", "220 mx\r\n"}, {kEhlo, "500 what\r\n"}, {kHelo, "550 no\r\n"}}, Want::kClose, 550, false},
        {"EhloBusy", {{"", "220 mx\r\n"}, {kEhlo, "421 busy\r\n"}}, Want::kClose, 421, false},
        {"EhloLater", {{"", "220 mx\r\n"}, {kEhlo, "450 later\r\n"}}, Want::kClose, 450, false},
        {"RepliesBeforeTheCommand", {{"", "220 mx\r\n250 mx\r\n250 ok\r\n"}}, Want::kClose, 0, true},
        {"PartOfAReplyBeforeTheCommand", {{"", "220 mx\r\n25"}}, Want::kClose, 0, true},
        {"ClosingAfterEhlo", {{"", "220 mx\r\n"}, {kEhlo, "250 mx\r\n421 bye\r\n"}}, Want::kClose, 421, false},
        {"EndlessGreeting", {{"", std::string(1 << 20, '2')}}, Want::kClose, 0, true},
        {"Intermediate", {{"", "334 x\r\n"}}, Want::kClose, 0, true},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ClientSession, ReadsExtensions) {
  ClientDialogue client;
  client.Open(kPipe);
  const Extensions& some = client.session().extensions();
  EXPECT_TRUE(some.esmtp && some.pipelining && some.eight_bit_mime && some.size_offered);
  EXPECT_FALSE(some.chunking || some.smtputf8 || some.starttls || some.enhanced_codes);
  EXPECT_EQ(some.size, 1'000'000u);

  ClientDialogue other;
  other.Open("250-mx PIPELINING\r\n250-starttls\r\n250-SIZE many\r\n250 ENHANCEDSTATUSCODES\r\n");
  EXPECT_FALSE(other.session().extensions().pipelining) << "the first line is the peer's name";
  EXPECT_TRUE(other.session().extensions().starttls && other.session().extensions().enhanced_codes);
  EXPECT_EQ(other.session().extensions().size, 0u);
}

TEST(ClientSession, MailParametersOnlyWhenOffered) {
  Outgoing mail = Mail(1);
  mail.needs_8bit = mail.needs_smtputf8 = true;
  mail.sender = "";
  ClientDialogue all;
  all.Open(kAll);
  EXPECT_EQ(all.Run(all.session().Begin(mail)), "MAIL FROM:<> SIZE=20 BODY=8BITMIME SMTPUTF8\r\n" + kR0 + kBdat);
  ClientDialogue old;
  old.Open(kOld);
  EXPECT_EQ(old.Run(old.session().Begin(mail)), "MAIL FROM:<>\r\n");
}

TEST(ClientSession, IsReusedForTheNextMail) {
  ClientDialogue client;
  client.Open(kAll);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.Run(client.session().Begin(Mail(1))), kPipeMail + kR0 + kBdat);
    client.Says("250 a\r\n250 b\r\n250 c\r\n");
    ASSERT_TRUE(client.session().reusable());
    EXPECT_EQ(Summary(client.session().TakeResult()), "250 250 - 250 ok committed");
  }
  EXPECT_EQ(client.Run(client.session().Quit()), "QUIT\r\n");
  EXPECT_EQ(client.session().step(), Step::kQuit);
  client.Says("221 bye\r\n");
  EXPECT_EQ(client.want(), Want::kClose);
  EXPECT_EQ(client.session().broke(), "");
}

TEST(ClientSession, ResetsAFailedTransactionBeforeTheNext) {
  ClientDialogue client;
  client.Open(kPipe);
  client.Run(client.session().Begin(Mail(1)));
  client.Says("250 a\r\n550 b\r\n503 c\r\n");
  ASSERT_TRUE(client.session().reusable());
  EXPECT_EQ(client.Run(client.session().Begin(Mail(1))), "RSET\r\n");
  EXPECT_EQ(client.session().step(), Step::kRset);
  EXPECT_EQ(client.Says("250 ok\r\n"), kPipeMail + kR0 + "DATA\r\n");
  client.Says("250 a\r\n250 b\r\n354 c\r\n");
  client.Says("250 d\r\n");
  EXPECT_EQ(client.Run(client.session().Begin(Mail(1))), kPipeMail + kR0 + "DATA\r\n");
}

TEST(ClientSession, RsetRefusedMeansNothingWasSent) {
  ClientDialogue client;
  client.Open(kPipe);
  client.Run(client.session().Begin(Mail(1)));
  client.Says("550 a\r\n503 b\r\n503 c\r\n");
  client.Run(client.session().Begin(Mail(1)));
  client.Says("421 bye\r\n");
  EXPECT_EQ(client.want(), Want::kClose);
  EXPECT_EQ(Summary(client.session().result()), "- - - - RSET closing broke");
}

// What a lost connection leaves behind, by the point where it is lost.
TEST(ClientSession, LostBeforeTheEndOfDataIsNotAmbiguous) {
  ClientDialogue client;
  client.Open(kOld);
  client.Run(client.session().Begin(Mail(1)));
  client.Says("250 ok\r\n");
  EXPECT_EQ(client.session().Lost("timeout"), Want::kClose);
  EXPECT_EQ(Summary(client.session().result()), "250 - - - RCPT broke");
  EXPECT_EQ(client.session().result().broke, "timeout at RCPT");
}

TEST(ClientSession, LostAfterTheEndOfDataIsAmbiguous) {
  ClientDialogue client;
  client.Open(kPipe);
  client.Run(client.session().Begin(Mail(2)));
  client.Says("250 a\r\n550 b\r\n250 c\r\n354 d\r\n");
  EXPECT_EQ(client.session().step(), Step::kDot);
  client.Says("250-o");
  client.session().Lost("closed by peer");
  EXPECT_EQ(Summary(client.session().result()), "250 550 250 354 - end of data committed ambiguous broke");
  EXPECT_EQ(client.session().result().broke, "closed by peer at end of data, inside a reply");
}

TEST(ClientSession, LostAfterOneWriteIsAmbiguousUnlessRefused) {
  const struct {
    const char* replies;
    bool ambiguous;
  } kCases[] = {{"", true},
                {"250 a\r\n", true},
                {"250 a\r\n250 b\r\n", true},
                {"250 a\r\n550 b\r\n", true},
                {"250 a\r\n550 b\r\n550 c\r\n", false},
                {"550 a\r\n", false},
                {"421 a\r\n", false},
                {"250 a\r\n250 b\r\n421 c\r\n", false}};
  for (const auto& c : kCases) {
    ClientDialogue client;
    client.Open(kAll);
    client.Run(client.session().Begin(Mail(2)));
    client.Says(c.replies);
    EXPECT_EQ(client.want(), Want::kRead) << c.replies;
    client.session().Lost("closed by peer");
    EXPECT_EQ(client.session().result().Ambiguous(), c.ambiguous) << c.replies;
  }
}

TEST(ClientSession, FailedWriteCommitsNothing) {
  ClientDialogue client;
  client.Open(kAll);
  ASSERT_EQ(client.session().Begin(Mail(1)), Want::kWrite);
  EXPECT_TRUE(client.session().output_commits());
  EXPECT_EQ(client.session().Lost("connection reset"), Want::kClose);
  EXPECT_EQ(Summary(client.session().result()), "- - - - MAIL broke");
}

TEST(ClientSession, LostWhileIdleHasNoResult) {
  ClientDialogue client;
  client.Open(kAll);
  EXPECT_EQ(client.session().Lost("closed by peer"), Want::kClose);
  EXPECT_EQ(client.session().broke(), "closed by peer");
  EXPECT_FALSE(client.session().reusable());
}

TEST(ClientSession, LongBodyGoesInBlocksAndCommitsWithItsEndAlone) {
  const std::string body = std::string(1'000'000, 'x') + "\r\n";
  for (const char* extensions : {kPipe, kAll}) {
    const bool chunking = extensions == kAll;
    ClientDialogue client;
    client.Open(extensions);
    EXPECT_EQ(client.Run(client.session().Begin(Mail(1, body))),
              "MAIL FROM:<a@ours.test> SIZE=1000016\r\n" + kR0 + (chunking ? "" : "DATA\r\n"));
    EXPECT_EQ(client.commits(), 0);
    const std::string content = "Subject: x\r\n\r\n" + body;
    EXPECT_EQ(client.Says(chunking ? "250 a\r\n250 b\r\n" : "250 a\r\n250 b\r\n354 c\r\n"),
              chunking ? "BDAT 1000016 LAST\r\n" + content : content + ".\r\n");
    EXPECT_EQ(client.writes(), 6);
    EXPECT_EQ(client.commits(), 1);
    EXPECT_EQ(client.committing_write(), chunking ? "\r\n" : "\r\n.\r\n");
    client.Says("250 ok\r\n");
    EXPECT_EQ(client.session().result().failed_at, std::nullopt);
  }
}

// The peer refuses a body half-way: its reply is the final one, and the connection is of no more use.
TEST(ClientSession, ReplyInTheMiddleOfTheBody) {
  const std::string body = std::string(1'000'000, 'x') + "\r\n";
  for (const auto& [reply, summary] :
       {std::pair("552 too large\r\n", "250 250 354 552 body"), std::pair("250 taken\r\n", "250 250 354 - body broke"),
        std::pair("55", "250 250 354 - body broke")}) {
    ClientDialogue client;
    client.Open(kPipe);
    client.Run(client.session().Begin(Mail(1, body)));
    ASSERT_EQ(client.session().Feed("250 a\r\n250 b\r\n354 c\r\n"), Want::kWrite);
    ASSERT_EQ(client.session().OutputWritten(), Want::kWrite);
    EXPECT_EQ(client.session().step(), Step::kBody);
    EXPECT_EQ(client.session().Feed(reply), Want::kClose);
    EXPECT_EQ(Summary(client.session().result()), summary);
  }
}

TEST(ClientSession, DotsAreStuffedWithDataAndNotWithBdat) {
  ClientDialogue data;
  data.Open(kOld);
  data.Run(data.session().Begin(Mail(1, ".\r\n..a\r\nb")));
  data.Says("250 a\r\n");
  data.Says("250 b\r\n");
  EXPECT_EQ(data.Says("354 c\r\n"), "Subject: x\r\n\r\n..\r\n...a\r\nb\r\n.\r\n");
  ClientDialogue bdat;
  bdat.Open(kAll);
  EXPECT_TRUE(absl::EndsWith(bdat.Run(bdat.session().Begin(Mail(1, ".\r\n..a\r\nb"))),
                             "BDAT 25 LAST\r\nSubject: x\r\n\r\n.\r\n..a\r\nb\r\n"));
}

TEST(ClientSession, AddressesThatCouldInjectAreNeverSent) {
  for (const std::string bad : {"v@ok.test>\r\nRCPT TO:<w@evil.test", "v@ok.test\n", "v@ok.test NOTIFY=SUCCESS",
                                "v@ok.test> SIZE=1", "<v@ok.test", "\"a\r\n b\"@ok.test", "\"a@ok.test", "\"a\\"}) {
    for (const bool as_sender : {false, true}) {
      ClientDialogue client;
      client.Open(kAll);
      Outgoing mail = Mail(1);
      (as_sender ? mail.sender : mail.recipients[0]) = bad;
      EXPECT_EQ(client.Run(client.session().Begin(mail)), "");
      EXPECT_EQ(client.want(), Want::kIdle);
      EXPECT_EQ(Summary(client.session().result()), "- - - - MAIL broke");
    }
  }
  ClientDialogue client;
  client.Open(kOld);
  Outgoing mail = Mail(1);
  mail.sender = "\"a > \\\" b\"@ours.test";
  EXPECT_EQ(client.Run(client.session().Begin(mail)), "MAIL FROM:<\"a > \\\" b\"@ours.test>\r\n");
}

// A reply that comes before its command would shift all that follow: the next mail would get this mail's verdict.
TEST(ClientSession, RepliesInAdvanceEndTheSession) {
  ClientDialogue plain;
  plain.Open(kOld);
  plain.Run(plain.session().Begin(Mail(1)));
  EXPECT_EQ(plain.Says("250 ok\r\n250 ok\r\n"), "");
  EXPECT_EQ(Summary(plain.session().result()), "250 - - - RCPT broke");
  ClientDialogue piped;
  piped.Open(kPipe);
  piped.Run(piped.session().Begin(Mail(2)));
  EXPECT_EQ(piped.Says("250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n"), "");
  EXPECT_EQ(Summary(piped.session().result()), "250 250 250 354 - body broke");
}

TEST(ClientSession, PartOfAReplyWhileIdleIsNotTheAnswerToTheNextCommand) {
  ClientDialogue client;
  client.Open(kAll);
  client.Says("250 o");
  EXPECT_EQ(client.want(), Want::kIdle);
  EXPECT_EQ(client.session().Begin(Mail(1)), Want::kClose);
  EXPECT_EQ(Summary(client.session().result()), "- - - - MAIL broke");
}

TEST(ClientTimeouts, AreThoseOfTheRfc) {
  const ClientTimeouts timeouts;
  EXPECT_EQ(timeouts.For(Step::kGreeting), absl::Minutes(5));
  EXPECT_EQ(timeouts.For(Step::kMail), absl::Minutes(5));
  EXPECT_EQ(timeouts.For(Step::kRcpt), absl::Minutes(5));
  EXPECT_EQ(timeouts.For(Step::kData), absl::Minutes(2));
  EXPECT_EQ(timeouts.For(Step::kBody), absl::Minutes(3));
  EXPECT_EQ(timeouts.For(Step::kDot), absl::Minutes(10));
}

TEST(ClientSession, SaysWhatTheSenderWantsToBeToldWhereDsnIsOffered) {
  for (const bool offered : {true, false}) {
    ClientDialogue client;
    client.Open(offered ? "250-mx\r\n250-dsn\r\n250 PIPELINING\r\n" : "250-mx\r\n250 PIPELINING\r\n");
    EXPECT_EQ(client.session().extensions().dsn, offered);
    Outgoing mail = Mail(2);
    mail.mail_dsn = "RET=FULL ENVID=x";
    mail.rcpt_dsn = {"", "NOTIFY=NEVER"};
    const std::string written = client.Run(client.session().Begin(mail));
    EXPECT_EQ(written, offered ? "MAIL FROM:<a@ours.test> RET=FULL ENVID=x\r\n" + kR0 +
                                     "RCPT TO:<r1@ok.test> NOTIFY=NEVER\r\nDATA\r\n"
                               : kMail + kR0 + kR1 + "DATA\r\n");
  }
}

TEST(ClientSession, AsksForTlsAllTheWayWhereThatIsOffered) {
  for (const bool offered : {true, false}) {
    for (const bool asked : {true, false}) {
      ClientDialogue client;
      client.Open(offered ? "250-mx\r\n250-RequireTLS\r\n250 SIZE\r\n" : "250-mx\r\n250 SIZE\r\n");
      EXPECT_EQ(client.session().extensions().requiretls, offered);
      Outgoing mail = Mail(1);
      mail.require_tls = asked;
      const std::string written = client.Run(client.session().Begin(mail));
      EXPECT_EQ(absl::StrContains(written, " REQUIRETLS\r\n"), offered && asked) << written;
    }
  }
}

TEST(ClientSession, SendsNoParameterThatCouldEndItsLine) {
  for (const bool of_rcpt : {true, false}) {
    ClientDialogue client;
    client.Open("250-mx\r\n250 DSN\r\n");
    Outgoing mail = Mail(1);
    (of_rcpt ? mail.rcpt_dsn.emplace_back() : mail.mail_dsn) = "ENVID=x\r\nRCPT TO:<v@out.test>";
    EXPECT_EQ(client.Run(client.session().Begin(mail)), "");
    EXPECT_FALSE(client.session().result().broke.empty());
  }
}

}  // namespace
}  // namespace hikyaku::smtp
