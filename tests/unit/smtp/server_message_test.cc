// The content of messages at the server: DATA, BDAT, sizes, smuggling (BATTERY 2.1 P18, 2.2).
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/smtp/server_session.h"
#include "tests/unit/smtp/server_dialogue.h"

namespace hikyaku::smtp {
namespace {

using Codes = std::vector<int>;
using State = ServerSession::State;

const std::string kEnvelope = "MAIL FROM:<alice@ours.test>\r\nRCPT TO:<r@ok.test>\r\n";

void Open(ServerDialogue& client) { ASSERT_EQ(client.Send("EHLO c.test\r\n" + kEnvelope), (Codes{250, 250, 250})); }

TEST(ServerData, DeliversWhatWasSent) {
  ServerDialogue client(Trusted());
  client.Send("EHLO c.test\r\n");
  EXPECT_EQ(client.Send("MAIL FROM:<alice@ours.test> SIZE=20 BODY=8BITMIME SMTPUTF8\r\n"
                        "RCPT TO:<R@OK.test>\r\nRCPT TO:<s@ok.test>\r\nDATA\r\n"),
            (Codes{250, 250, 250, 354}));
  EXPECT_EQ(client.Send("Subject: x\r\n\r\n..dot\r\n"), Codes{});
  EXPECT_EQ(client.Send(".\r\n"), Codes{250});
  ASSERT_EQ(client.mails().size(), 1u);
  const Transaction& mail = client.mails()[0];
  EXPECT_EQ(mail.helo, "c.test");
  EXPECT_TRUE(mail.esmtp);
  EXPECT_TRUE(mail.eight_bit);
  EXPECT_TRUE(mail.smtputf8);
  EXPECT_EQ(mail.declared_size, 20u);
  EXPECT_EQ(mail.sender.ToString(), "alice@ours.test");
  ASSERT_EQ(mail.recipients.size(), 2u);
  EXPECT_EQ(mail.recipients[0].address.ToString(), "R@ok.test");
  EXPECT_EQ(mail.recipients[0].original, "R@OK.test");
  EXPECT_EQ(mail.data, "Subject: x\r\n\r\n.dot\r\n");
}

TEST(ServerData, SecondMailKnowsNothingOfTheFirst) {
  ServerDialogue client(Trusted());
  client.Send("HELO c.test\r\n");
  client.Send("MAIL FROM:<a@b.test> SMTPUTF8\r\nRCPT TO:<r@ok.test>\r\nDATA\r\nx\r\n.\r\n");
  client.Send("MAIL FROM:<>\r\nRCPT TO:<s@ok.test>\r\nDATA\r\n.\r\n");
  ASSERT_EQ(client.mails().size(), 2u);
  const Transaction& second = client.mails()[1];
  EXPECT_TRUE(second.sender.empty());
  EXPECT_FALSE(second.smtputf8);
  EXPECT_FALSE(second.esmtp);
  EXPECT_EQ(second.helo, "c.test");
  ASSERT_EQ(second.recipients.size(), 1u);
  EXPECT_EQ(second.data, "");
}

TEST(ServerData, WhatFollowsTheMessageWaitsForItsAnswer) {
  ServerPolicy policy;
  ServerSession session(Trusted(), &policy);
  session.Start();
  const std::string all = "EHLO c\r\n" + kEnvelope + "DATA\r\na\r\n.\r\n" + kEnvelope + "DATA\r\nb\r\n.\r\nQUIT\r\n";
  ASSERT_EQ(session.Feed(all), ServerSession::Want::kDeliver);
  EXPECT_TRUE(absl::EndsWith(session.TakeOutput(), "354 End data with <CR><LF>.<CR><LF>\r\n"));
  EXPECT_EQ(session.transaction().data, "a\r\n");
  ASSERT_EQ(session.Answer({451, "4.3.0", "Try later"}), ServerSession::Want::kDeliver);
  EXPECT_TRUE(absl::StartsWith(session.TakeOutput(), "451 4.3.0 Try later\r\n250 2.1.0"));
  EXPECT_EQ(session.transaction().data, "b\r\n");
  ASSERT_EQ(session.Answer({250, "2.0.0", "OK 1"}), ServerSession::Want::kClose);
  EXPECT_EQ(session.TakeOutput(), "250 2.0.0 OK 1\r\n221 2.0.0 Bye\r\n");
  EXPECT_EQ(session.messages(), 1u);
}

TEST(ServerData, AnswerOf421Closes) {
  ServerDialogue client(Trusted());
  Open(client);
  client.verdict = {421, "4.3.2", "Stopping"};
  EXPECT_EQ(client.Send("DATA\r\n.\r\nNOOP\r\n"), (Codes{354, 421}));
  EXPECT_TRUE(client.closed());
}

TEST(ServerData, SizeIsCheckedBeforeAndAfter) {  // P18.
  ServerOptions options = Trusted();
  options.max_size = 1000;
  ServerDialogue client(options);
  client.Send("EHLO c\r\n");
  EXPECT_EQ(client.Send("MAIL FROM:<a@b.test> SIZE=1001\r\n"), Codes{552});
  EXPECT_EQ(client.Send("MAIL FROM:<a@b.test> SIZE=1000\r\nRSET\r\n"), (Codes{250, 250}));
  EXPECT_EQ(client.Send(kEnvelope + "DATA\r\n" + std::string(999, 'x') + "\r\n.\r\n"), (Codes{250, 250, 354, 552}));
  EXPECT_TRUE(absl::StartsWith(client.last(), "552 5.3.4 "));
  EXPECT_EQ(client.Send(kEnvelope + "DATA\r\n" + std::string(998, 'x') + "\r\n.\r\n"), (Codes{250, 250, 354, 250}));
  ASSERT_EQ(client.mails().size(), 1u);
  EXPECT_EQ(client.mails()[0].data.size(), 1000u);
}

TEST(ServerData, EndlessMessageEndsTheSession) {
  ServerOptions options = Trusted();
  options.max_size = 10'000;
  ServerDialogue client(options);
  Open(client);
  client.Send("DATA\r\n");
  Codes codes;
  int blocks = 0;
  for (; blocks < 100 && !client.closed(); ++blocks) codes = client.Send(std::string(1000, 'x'));
  EXPECT_EQ(codes, Codes{552});
  EXPECT_LT(blocks, 50);
}

// Found by tests/fuzz: one that came whole with its end was refused and read on after.
TEST(ServerData, FarTooLargeEndsTheSessionInWhateverPiecesItComes) {
  ServerOptions options = Trusted();
  options.max_size = 100;
  const std::string input = "DATA\r\n" + std::string(600, 'x') + "\r\n.\r\nNOOP\r\n";
  for (const std::size_t step : {std::size_t{1}, std::size_t{64}, input.size()}) {
    ServerDialogue client(options);
    Open(client);
    EXPECT_EQ(client.SendSlowly(input, step), (Codes{354, 552})) << step;
    EXPECT_TRUE(client.closed()) << step;
  }
}

// S01: one policy for every spelling that another server might take for the end of the data.
TEST(ServerSmuggling, OneRefusalAndNothingRun) {
  const std::string kTail = "MAIL FROM:<x@evil.test>\r\nRCPT TO:<v@ok.test>\r\nDATA\r\nSubject: smug\r\n\r\nx\r\n.\r\n";
  const std::string kSpellings[] = {"\n.\n",
                                    "\n.\r",
                                    "\r.\n",
                                    "\r.\r",
                                    "\n.\r\n",
                                    "\r.\r\n",
                                    "\r\n.\n",
                                    "\r\n.\r",
                                    std::string("\r\n\0.\r\n", 6),
                                    std::string("\r\n.\0\r\n", 6),
                                    "\r\n.\r\r\n"};
  for (const std::string& q : kSpellings) {
    for (std::size_t step : {1u, 3u, 10'000u}) {
      ServerDialogue client(Trusted());
      Open(client);
      client.Send("DATA\r\n");
      EXPECT_EQ(client.SendSlowly("a" + q + kTail, step), Codes{550}) << testing::PrintToString(q);
      EXPECT_TRUE(absl::StartsWith(client.last(), "550 5.6.0 "));
      EXPECT_TRUE(client.mails().empty());
      EXPECT_EQ(client.Send(kEnvelope + "DATA\r\n.\r\n"), (Codes{250, 250, 354, 250}));
    }
  }
}

struct DotCase {
  const char* name;
  std::string sent;
  int code;
  std::string data;
};

class ServerDots : public testing::TestWithParam<DotCase> {};

TEST_P(ServerDots, Are) {
  ServerDialogue client(Trusted());
  Open(client);
  client.Send("DATA\r\n");
  EXPECT_EQ(client.Send(GetParam().sent), Codes{GetParam().code});
  ASSERT_EQ(client.mails().size(), GetParam().code == 250 ? 1u : 0u);
  if (!client.mails().empty()) {
    EXPECT_EQ(client.mails()[0].data, GetParam().data);
  }
}

INSTANTIATE_TEST_SUITE_P(S09, ServerDots,
                         testing::ValuesIn<DotCase>({
                             {"Nothing", ".\r\n", 250, ""},
                             {"EmptyLine", "\r\n.\r\n", 250, "\r\n"},
                             {"StuffedAtTheStart", "..\r\n.\r\n", 250, ".\r\n"},
                             {"LfDotAtTheStart", "\n.\r\nx\r\n.\r\n", 550, ""},
                             {"DotBeforeText", ".x\r\n.\r\n", 250, "x\r\n"},
                             {"BareCrInHeader", "Subject: a\rBcc: v@x.test\r\n\r\n.\r\n", 550, ""},
                         }),
                         [](const auto& info) { return std::string(info.param.name); });

struct ChunkCase {
  const char* name;
  std::string sent;  // After EHLO.
  Codes codes;
  std::vector<std::string> data;  // Of the mails.
};

class ServerChunks : public testing::TestWithParam<ChunkCase> {};

TEST_P(ServerChunks, InEveryCutting) {
  for (std::size_t step : {1u, 7u, 100'000u}) {
    ServerOptions options = Trusted();
    options.max_size = 1000;
    ServerDialogue client(options);
    client.Send("EHLO c\r\n");
    EXPECT_EQ(client.SendSlowly(GetParam().sent, step), GetParam().codes) << step;
    ASSERT_EQ(client.mails().size(), GetParam().data.size());
    for (std::size_t i = 0; i < client.mails().size(); ++i) EXPECT_EQ(client.mails()[i].data, GetParam().data[i]);
  }
}

const std::string k900(898, 'x');

INSTANTIATE_TEST_SUITE_P(
    Rfc3030, ServerChunks,
    testing::ValuesIn<ChunkCase>({
        {"OneChunk", kEnvelope + "BDAT 8 LAST\r\n.\r\nabc\r\nNOOP\r\n", {250, 250, 250, 250}, {".\r\nabc\r\n"}},
        {"WrongCountIsAnError", kEnvelope + "BDAT 3\r\na\r\n\r\nRSET\r\n", {250, 250, 250, 500, 250}, {}},
        {"ChunksAndAnEmptyLast",
         kEnvelope + "BDAT 2\r\nabBDAT 3\r\nc\r\nBDAT 0 LAST\r\n",
         {250, 250, 250, 250, 250},
         {"abc\r\n"}},
        {"CrlfAcrossChunks", kEnvelope + "BDAT 2\r\na\rBDAT 1 LAST\r\n\n", {250, 250, 250, 250}, {"a\r\n"}},
        {"LastLineEndIsAdded", kEnvelope + "BDAT 3 LAST\r\nabc", {250, 250, 250}, {"abc\r\n"}},
        {"BareLf", kEnvelope + "BDAT 4 LAST\r\na\nb\nNOOP\r\n", {250, 250, 550, 250}, {}},
        {"Nul", kEnvelope + std::string("BDAT 3 LAST\r\na\0b", 16), {250, 250, 550}, {}},
        {"TwoMails",
         kEnvelope + "BDAT 1 LAST\r\na" + kEnvelope + "BDAT 1 LAST\r\nb",
         {250, 250, 250, 250, 250, 250},
         {"a\r\n", "b\r\n"}},
        {"BeforeMailItsOctetsAreDropped", "BDAT 6 LAST\r\nRSET\r\nNOOP\r\n", {503, 250}, {}},
        {"BeforeRcptItsOctetsAreDropped",
         "MAIL FROM:<>\r\nBDAT 6\r\nRSET\r\nRCPT TO:<r@ok.test>\r\n",
         {250, 503, 250},
         {}},
        {"AllRcptRefused",
         "MAIL FROM:<>\r\nRCPT TO:<u@[127.0.0.1]>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
         {250, 550, 503, 250},
         {}},
        {"DataAfterBdat", kEnvelope + "BDAT 1\r\naDATA\r\nRSET\r\n", {250, 250, 250, 503, 250}, {}},
        {"RcptAfterBdat",
         kEnvelope + "BDAT 1\r\naRCPT TO:<s@ok.test>\r\nBDAT 0 LAST\r\n",
         {250, 250, 250, 503, 250},
         {"a\r\n"}},
        {"RsetDropsTheChunks",
         kEnvelope + "BDAT 1\r\naRSET\r\n" + kEnvelope + "BDAT 1 LAST\r\nb",
         {250, 250, 250, 250, 250, 250, 250},
         {"b\r\n"}},
        {"TooLargeIsDroppedToItsEnd",
         kEnvelope + "BDAT 900\r\n" + k900 + "\r\nBDAT 900\r\n" + k900 + "\r\nBDAT 2 LAST\r\nxxNOOP\r\n" + kEnvelope,
         {250, 250, 250, 552, 552, 250, 250, 250},
         {}},
        {"BadSizeRunsNothing", kEnvelope + "BDAT x\r\nBDAT\r\nBDAT 1 LAST\r\na", {250, 250, 501, 501, 250}, {"a\r\n"}},
        {"SizeBeyondAllReasonCloses", kEnvelope + "BDAT 99999999999999999999\r\nMAIL FROM:<>\r\n", {250, 250, 552}, {}},
        {"HugeChunkCloses", kEnvelope + "BDAT 18446744073709551615\r\nNOOP\r\n", {250, 250, 552}, {}},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ServerChunking, TooManyChunks) {
  ServerDialogue client(Trusted());
  Open(client);
  Codes codes;
  for (std::size_t i = 0; i <= ServerSession::kMaxChunks; ++i) codes = client.Send("BDAT 1\r\nx");
  EXPECT_EQ(codes, Codes{554});
  EXPECT_EQ(client.Send("BDAT 0 LAST\r\n"), Codes{554});
  EXPECT_EQ(client.session().state(), State::kReady);
}

TEST(ServerChunking, ReadingAChunkIsReadingData) {
  ServerDialogue client(Trusted());
  Open(client);
  EXPECT_FALSE(client.session().reading_data());
  client.Send("BDAT 10\r\nabc");
  EXPECT_TRUE(client.session().reading_data());
  client.Send("defghij");
  EXPECT_FALSE(client.session().reading_data());
}

// Keeps what the session refuses by itself.
class Books : public ServerPolicy {
 public:
  void MessageRefused(const Reply& reply) override { messages.push_back(reply.code); }
  void RecipientRefused(const Reply& reply) override { recipients.push_back(reply.code); }

  Codes messages, recipients;
};

TEST(ServerBooks, EachRefusedMessageIsToldOnce) {
  struct Case {
    const char* name;
    std::string after;  // What follows the envelope.
    Codes told;
  };
  const std::string large(200, 'x');
  const std::string huge(1000, 'x');
  for (const Case& c : {
           Case{"Taken", "DATA\r\na\r\n.\r\n", {}},
           Case{"BareLf", "DATA\r\na\nb\r\n.\r\n", {550}},
           Case{"TooLarge", "DATA\r\n" + large + "\r\n.\r\n", {552}},
           Case{"FarTooLarge", "DATA\r\n" + huge, {552}},
           Case{"AtMail", "RSET\r\nMAIL FROM:<a@b.test> SIZE=101\r\n", {552}},
           Case{"ChunkBareLf", "BDAT 3 LAST\r\na\nb", {550}},
           Case{"ChunkTooLarge", "BDAT 200\r\n" + large + "BDAT 200\r\n" + large + "BDAT 0 LAST\r\n", {552}},
           Case{"ChunkTooLargeAndReset", "BDAT 200\r\n" + large + "RSET\r\n", {552}},
           Case{"ChunkFarTooLarge", "BDAT 9999 LAST\r\n", {552}},
           Case{"ChunkOfNoMail", "RSET\r\nBDAT 3 LAST\r\nabc", {}},
       }) {
    SCOPED_TRACE(c.name);
    ServerOptions options = Trusted();
    options.max_size = 100;
    Books books;
    ServerDialogue client(options, &books);
    Open(client);
    client.Send(c.after);
    EXPECT_EQ(books.messages, c.told);
    EXPECT_EQ(books.recipients, Codes{});
  }
}

TEST(ServerBooks, RefusedRecipients) {
  ServerOptions options = Trusted();
  options.max_recipients = 1;
  Books books;
  ServerDialogue client(options, &books);
  Open(client);
  client.Send("RCPT TO:<r@>\r\nRCPT TO:<s@ok.test>\r\n");
  EXPECT_EQ(books.recipients, (Codes{501, 452}));
  Books strangers;
  ServerDialogue stranger(Stranger(), &strangers);
  stranger.Send("RCPT TO:<r@ok.test>\r\nEHLO c.test\r\n" + kEnvelope);
  EXPECT_EQ(strangers.recipients, Codes{550});
}

}  // namespace
}  // namespace hikyaku::smtp
