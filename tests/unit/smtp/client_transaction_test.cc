// Whole transactions of the client, as tables: what it writes, what the peer answers, what is reported.
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/smtp/client_session.h"
#include "tests/unit/smtp/client_dialogue.h"

namespace hikyaku::smtp {
namespace {

struct DialogueCase {
  const char* name;
  const char* extensions;
  int recipients;
  std::vector<Turn> turns;
  std::string summary;
  Want ends = Want::kIdle;
  Protocol protocol = Protocol::kSmtp;
};

class ClientTransaction : public testing::TestWithParam<DialogueCase> {};

TEST_P(ClientTransaction, Runs) {
  ClientDialogue client(GetParam().protocol);
  client.Open(GetParam().extensions);
  std::string written = client.Run(client.session().Begin(Mail(GetParam().recipients)));
  for (const Turn& turn : GetParam().turns) {
    EXPECT_EQ(written, turn.client);
    EXPECT_EQ(client.want(), Want::kRead);
    written = client.Says(turn.peer);
  }
  EXPECT_EQ(written, "");
  EXPECT_EQ(client.want(), GetParam().ends);
  EXPECT_EQ(Summary(client.session().result()), GetParam().summary) << client.session().broke();
}

// However the peer's packets are cut, the dialogue is the same.
TEST_P(ClientTransaction, OctetByOctet) {
  ClientDialogue client(GetParam().protocol);
  client.Open(GetParam().extensions);
  std::string written = client.Run(client.session().Begin(Mail(GetParam().recipients)));
  for (const Turn& turn : GetParam().turns) {
    EXPECT_EQ(written, turn.client);
    written.clear();
    for (char c : turn.peer) {
      if (client.want() != Want::kClose) written += client.Says(absl::string_view(&c, 1));
    }
  }
  EXPECT_EQ(Summary(client.session().result()), GetParam().summary);
  EXPECT_EQ(client.session().reusable(), GetParam().ends == Want::kIdle);
}

INSTANTIATE_TEST_SUITE_P(
    Plain, ClientTransaction,
    testing::ValuesIn<DialogueCase>({
        {"Delivers",
         kOld,
         2,
         {{kMail, "250 ok\r\n"},
          {kR0, "250 ok\r\n"},
          {kR1, "251 ok\r\n"},
          {"DATA\r\n", "354 go\r\n"},
          {kEnd, "250 ok\r\n"}},
         "250 250 251 354 250 ok committed"},
        {"MailRefused", kOld, 1, {{kMail, "550 no\r\n"}}, "550 - - - MAIL"},
        {"RcptPartlyRefused",
         kOld,
         2,
         {{kMail, "250 ok\r\n"},
          {kR0, "550 no\r\n"},
          {kR1, "250 ok\r\n"},
          {"DATA\r\n", "354 go\r\n"},
          {kEnd, "250 ok\r\n"}},
         "250 550 250 354 250 ok committed"},
        {"AllRcptRefusedNoData",
         kOld,
         2,
         {{kMail, "250 ok\r\n"}, {kR0, "550 no\r\n"}, {kR1, "450 no\r\n"}},
         "250 550 450 - - RCPT"},
        {"DataRefused",
         kOld,
         1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "451 no\r\n"}},
         "250 250 451 - DATA"},
        {"MessageRefused",
         kOld,
         1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "554 spam\r\n"}},
         "250 250 354 554 end of data committed"},
        {"ClosingAtMail", kOld, 1, {{kMail, "421 bye\r\n"}}, "421 - - - MAIL closing", Want::kClose},
        {"ClosingAtRcpt",
         kOld,
         2,
         {{kMail, "250 ok\r\n"}, {kR0, "421 bye\r\n"}},
         "250 421 - - - RCPT closing",
         Want::kClose},
        {"ClosingAtTheEnd",
         kOld,
         1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "421 bye\r\n"}},
         "250 250 354 421 end of data committed closing",
         Want::kClose},
        {"ClosingBehindTheFinalReply",
         kOld,
         1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "250 ok\r\n421 enough\r\n"}},
         "250 250 354 250 ok committed",
         Want::kClose},
        {"IntermediateReplyToMail", kOld, 1, {{kMail, "354 go\r\n"}}, "- - - - MAIL broke", Want::kClose},
        {"PositiveReplyToData",
         kOld,
         1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "250 ok\r\n"}},
         "250 250 - - DATA broke",
         Want::kClose},
        {"IntermediateFinalReplyIsNoAnswer",
         kOld,
         1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "354 more\r\n"}},
         "250 250 354 - end of data committed ambiguous broke",
         Want::kClose},
        {"Code999", kOld, 1, {{kMail, "999 x\r\n"}}, "- - - - MAIL broke", Want::kClose},
        {"HttpServer", kOld, 1, {{kMail, "HTTP/1.1 400 Bad Request\r\n"}}, "- - - - MAIL broke", Want::kClose},
    }),
    [](const auto& info) { return std::string(info.param.name); });

const std::string kPiped = kPipeMail + kR0 + kR1 + "DATA\r\n";

INSTANTIATE_TEST_SUITE_P(
    Rfc2920, ClientTransaction,
    testing::ValuesIn<DialogueCase>({
        {"Delivers",
         kPipe,
         2,
         {{kPiped, "250 a\r\n250 b\r\n250 c\r\n354 d\r\n"}, {kEnd, "250 ok\r\n"}},
         "250 250 250 354 250 ok committed"},
        {"RcptPartlyRefused",
         kPipe,
         2,
         {{kPiped, "250 a\r\n550 b\r\n250 c\r\n354 d\r\n"}, {kEnd, "250 ok\r\n"}},
         "250 550 250 354 250 ok committed"},
        {"AllRcptRefused", kPipe, 2, {{kPiped, "250 a\r\n550 b\r\n550 c\r\n503 d\r\n"}}, "250 550 550 503 - RCPT"},
        {"AllRcptRefusedYetDataTaken",
         kPipe,
         2,
         {{kPiped, "250 a\r\n550 b\r\n550 c\r\n354 d\r\n"}, {".\r\n", "554 no recipients\r\n"}},
         "250 550 550 354 - RCPT"},
        {"AllRcptRefusedYetLoneDotTaken",
         kPipe,
         2,
         {{kPiped, "250 a\r\n550 b\r\n550 c\r\n354 d\r\n"}, {".\r\n", "250 ok\r\n"}},
         "250 550 550 354 - RCPT"},
        {"MailRefusedYetRcptAndDataTaken",
         kPipe,
         2,
         {{kPiped, "451 a\r\n250 b\r\n250 c\r\n354 d\r\n"}, {".\r\n", "250 ok\r\n"}},
         "451 250 250 354 - MAIL"},
        {"MailRefused", kPipe, 2, {{kPiped, "550 a\r\n503 b\r\n503 c\r\n503 d\r\n"}}, "550 503 503 503 - MAIL"},
        {"DataRefused", kPipe, 2, {{kPiped, "250 a\r\n250 b\r\n250 c\r\n451 d\r\n"}}, "250 250 250 451 - DATA"},
        {"ClosingAmongThem",
         kPipe,
         2,
         {{kPiped, "250 a\r\n421 b\r\n421 c\r\n421 d\r\n"}},
         "250 421 421 421 - RCPT closing",
         Want::kClose},
        {"NoBodyAfterClosing",
         kPipe,
         2,
         {{kPiped, "250 a\r\n250 b\r\n421 c\r\n354 d\r\n"}},
         "250 250 421 354 - DATA closing",
         Want::kClose},
        {"ShortBodyGoesInOneWrite",
         kAll,
         2,
         {{kPipeMail + kR0 + kR1 + kBdat, "250 a\r\n250 b\r\n250 c\r\n250 d\r\n"}},
         "250 250 250 - 250 ok committed"},
        {"OneWriteRcptPartlyRefused",
         kAll,
         2,
         {{kPipeMail + kR0 + kR1 + kBdat, "250 a\r\n550 b\r\n250 c\r\n250 d\r\n"}},
         "250 550 250 - 250 ok committed"},
        {"OneWriteAllRcptRefused",
         kAll,
         2,
         {{kPipeMail + kR0 + kR1 + kBdat, "250 a\r\n550 b\r\n450 c\r\n503 d\r\n"}},
         "250 550 450 - - RCPT committed"},
        {"OneWriteMailRefused",
         kAll,
         1,
         {{kPipeMail + kR0 + kBdat, "451 a\r\n503 b\r\n503 c\r\n"}},
         "451 503 - - MAIL committed"},
        {"OneWriteRefusedAtTheEnd",
         kAll,
         1,
         {{kPipeMail + kR0 + kBdat, "250 a\r\n250 b\r\n452 c\r\n"}},
         "250 250 - 452 end of data committed"},
        {"OneWriteClosing",
         kAll,
         1,
         {{kPipeMail + kR0 + kBdat, "421 a\r\n421 b\r\n421 c\r\n"}},
         "421 421 - - MAIL committed closing",
         Want::kClose},
        {"ChunkingAlone",
         kChunk,
         1,
         {{kMail, "250 a\r\n"}, {kR0, "250 b\r\n"}, {kBdat, "250 c\r\n"}},
         "250 250 - 250 ok committed"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

// RFC 2033: a last reply for each recipient that was accepted, in their order.
INSTANTIATE_TEST_SUITE_P(
    Lmtp, ClientTransaction,
    testing::ValuesIn<DialogueCase>({
        {"Delivers",
         kOld,
         2,
         {{kMail, "250 ok\r\n"},
          {kR0, "250 ok\r\n"},
          {kR1, "250 ok\r\n"},
          {"DATA\r\n", "354 go\r\n"},
          {kEnd, "250 ok\r\n250 ok\r\n"}},
         "250 250 250 354 250 ok 250 250 committed",
         Want::kIdle,
         Protocol::kLmtp},
        {"OneIsOverQuota",
         kPipe,
         2,
         {{kPipeMail + kR0 + kR1, "250 ok\r\n250 ok\r\n250 ok\r\n"},
          {"DATA\r\n", "354 go\r\n"},
          {kEnd, "452 full\r\n250 ok\r\n"}},
         "250 250 250 354 250 ok 452 250 committed",
         Want::kIdle,
         Protocol::kLmtp},
        {"RefusedAtRcptHasNoLastReply",
         kPipe,
         2,
         {{kPipeMail + kR0 + kR1, "250 ok\r\n550 no\r\n250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "550 no\r\n"}},
         "250 550 250 354 550 end of data - 550 committed",
         Want::kIdle,
         Protocol::kLmtp},
        {"NobodyAcceptedNoData",
         kPipe,
         2,
         {{kPipeMail + kR0 + kR1, "250 ok\r\n550 no\r\n451 no\r\n"}},
         "250 550 451 - - RCPT - -",
         Want::kIdle,
         Protocol::kLmtp},
        {"NoBdat",
         kChunk,
         1,
         {{kMail, "250 a\r\n"}, {kR0, "250 b\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "250 c\r\n"}},
         "250 250 354 250 ok 250 committed",
         Want::kIdle,
         Protocol::kLmtp},
        {"GoesAwayBetweenLastReplies",
         kOld,
         2,
         {{kMail, "250 ok\r\n"},
          {kR0, "250 ok\r\n"},
          {kR1, "250 ok\r\n"},
          {"DATA\r\n", "354 go\r\n"},
          {kEnd, "250 ok\r\n421 bye\r\n"}},
         "250 250 250 354 421 end of data 250 421 committed closing",
         Want::kClose,
         Protocol::kLmtp},
    }),
    [](const auto& info) { return std::string(info.param.name); });

TEST(ClientLmtp, LostBetweenLastRepliesIsAmbiguous) {
  ClientDialogue client(Protocol::kLmtp);
  client.Open(kOld);
  client.Run(client.session().Begin(Mail(2)));
  for (const char* reply : {"250 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"}) client.Says(reply);
  EXPECT_EQ(client.session().Lost("closed by the peer"), Want::kClose);
  EXPECT_EQ(Summary(client.session().result()), "250 250 250 354 - end of data 250 - committed ambiguous broke");
}

TEST(ClientLmtp, DoesNotFallBackToHelo) {
  ClientDialogue client(Protocol::kLmtp);
  EXPECT_EQ(client.Says("220 mx LMTP\r\n"), "LHLO out.ours.test\r\n");
  EXPECT_EQ(client.Says("500 what?\r\n"), "");
  EXPECT_EQ(client.want(), Want::kClose);
}

}  // namespace
}  // namespace hikyaku::smtp
