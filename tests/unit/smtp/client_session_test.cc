// The client against scripted peers, good, refusing and hostile.
#include "lib/smtp/client_session.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "lib/smtp/client_timeouts.h"

namespace hikyaku::smtp {
namespace {

using Want = ClientSession::Want;

// What the peer offers.
const char kOld[] = "250 mx\r\n";
const char kPipe[] = "250-mx\r\n250-SIZE 1000000\r\n250-8BITMIME\r\n250 PIPELINING\r\n";
const char kChunk[] = "250-mx\r\n250 CHUNKING\r\n";
const char kAll[] = "250-mx\r\n250-pipelining\r\n250-Chunking\r\n250-8bitMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n";

class ClientDialogue {
 public:
  ClientDialogue() : session_("out.ours.test"), want_(session_.Start()) {}

  // What the peer says; gives what the client writes in answer.
  std::string Says(absl::string_view reply) { return Run(session_.Feed(reply)); }

  std::string Run(Want want) {
    std::string written;
    while ((want_ = want) == Want::kWrite) {
      ++writes_;
      for (absl::string_view piece : session_.output()) written.append(piece.data(), piece.size());
      if (session_.output_commits()) ++commits_;
      want = session_.OutputWritten();
    }
    return written;
  }

  // Greeted and through EHLO.
  void Open(absl::string_view extensions) {
    EXPECT_EQ(Says("220 mx ESMTP\r\n"), "EHLO out.ours.test\r\n");
    EXPECT_EQ(Says(extensions), "");
    ASSERT_EQ(want_, Want::kIdle);
    writes_ = commits_ = 0;
  }

  ClientSession& session() { return session_; }
  Want want() const { return want_; }
  int writes() const { return writes_; }
  int commits() const { return commits_; }

 private:
  ClientSession session_;
  Want want_;
  int writes_ = 0;
  int commits_ = 0;
};

std::string Code(const std::optional<Reply>& reply) { return reply ? absl::StrCat(reply->code) : "-"; }

// MAIL, each RCPT, DATA, the final reply; and how it ended.
std::string Summary(const TransactionResult& r) {
  std::string out = Code(r.mail);
  for (const auto& rcpt : r.rcpt) absl::StrAppend(&out, " ", Code(rcpt));
  absl::StrAppend(&out, " ", Code(r.data), " ", Code(r.final), " ",
                  r.failed_at ? StepName(*r.failed_at) : absl::string_view("ok"));
  if (r.committed) out += " committed";
  if (r.Ambiguous()) out += " ambiguous";
  if (r.closing) out += " closing";
  if (!r.broke.empty()) out += " broke";
  return out;
}

Outgoing Mail(int recipients, absl::string_view body = "text\r\n") {
  Outgoing mail{"a@ours.test", {}, "Subject: x\r\n\r\n", body};
  for (int i = 0; i < recipients; ++i) mail.recipients.push_back(absl::StrCat("r", i, "@ok.test"));
  return mail;
}

const std::string kMail = "MAIL FROM:<a@ours.test>\r\n";
const std::string kR0 = "RCPT TO:<r0@ok.test>\r\n";
const std::string kR1 = "RCPT TO:<r1@ok.test>\r\n";
const std::string kText = "Subject: x\r\n\r\ntext\r\n";
const std::string kEnd = kText + ".\r\n";
const std::string kPipeMail = "MAIL FROM:<a@ours.test> SIZE=20\r\n";
const std::string kBdat = "BDAT 20 LAST\r\n" + kText;

struct Turn {
  std::string client;  // What it writes,
  std::string peer;    // and the answer to that.
};

struct DialogueCase {
  const char* name;
  const char* extensions;
  int recipients;
  std::vector<Turn> turns;
  std::string summary;
  Want ends = Want::kIdle;
};

class ClientTransaction : public testing::TestWithParam<DialogueCase> {};

TEST_P(ClientTransaction, Runs) {
  ClientDialogue client;
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
  ClientDialogue client;
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
        {"Delivers", kOld, 2,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {kR1, "251 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "250 ok\r\n"}},
         "250 250 251 354 250 ok committed"},
        {"MailRefused", kOld, 1, {{kMail, "550 no\r\n"}}, "550 - - - MAIL"},
        {"RcptPartlyRefused", kOld, 2,
         {{kMail, "250 ok\r\n"}, {kR0, "550 no\r\n"}, {kR1, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "250 ok\r\n"}},
         "250 550 250 354 250 ok committed"},
        {"AllRcptRefusedNoData", kOld, 2, {{kMail, "250 ok\r\n"}, {kR0, "550 no\r\n"}, {kR1, "450 no\r\n"}},
         "250 550 450 - - RCPT"},
        {"DataRefused", kOld, 1, {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "451 no\r\n"}},
         "250 250 451 - DATA"},
        {"MessageRefused", kOld, 1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "554 spam\r\n"}},
         "250 250 354 554 end of data committed"},
        {"ClosingAtMail", kOld, 1, {{kMail, "421 bye\r\n"}}, "421 - - - MAIL closing", Want::kClose},
        {"ClosingAtRcpt", kOld, 2, {{kMail, "250 ok\r\n"}, {kR0, "421 bye\r\n"}}, "250 421 - - - RCPT closing",
         Want::kClose},
        {"ClosingAtTheEnd", kOld, 1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "421 bye\r\n"}},
         "250 250 354 421 end of data committed closing", Want::kClose},
        {"ClosingBehindTheFinalReply", kOld, 1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "250 ok\r\n421 enough\r\n"}},
         "250 250 354 250 ok committed", Want::kClose},
        {"IntermediateReplyToMail", kOld, 1, {{kMail, "354 go\r\n"}}, "- - - - MAIL broke", Want::kClose},
        {"PositiveReplyToData", kOld, 1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "250 ok\r\n"}}, "250 250 - - DATA broke", Want::kClose},
        {"IntermediateFinalReplyIsNoAnswer", kOld, 1,
         {{kMail, "250 ok\r\n"}, {kR0, "250 ok\r\n"}, {"DATA\r\n", "354 go\r\n"}, {kEnd, "354 more\r\n"}},
         "250 250 354 - end of data committed ambiguous broke", Want::kClose},
        {"Code999", kOld, 1, {{kMail, "999 x\r\n"}}, "- - - - MAIL broke", Want::kClose},
        {"HttpServer", kOld, 1, {{kMail, "HTTP/1.1 400 Bad Request\r\n"}}, "- - - - MAIL broke", Want::kClose},
    }),
    [](const auto& info) { return std::string(info.param.name); });

const std::string kPiped = kPipeMail + kR0 + kR1 + "DATA\r\n";

INSTANTIATE_TEST_SUITE_P(
    Rfc2920, ClientTransaction,
    testing::ValuesIn<DialogueCase>({
        {"Delivers", kPipe, 2, {{kPiped, "250 a\r\n250 b\r\n250 c\r\n354 d\r\n"}, {kEnd, "250 ok\r\n"}},
         "250 250 250 354 250 ok committed"},
        {"RcptPartlyRefused", kPipe, 2, {{kPiped, "250 a\r\n550 b\r\n250 c\r\n354 d\r\n"}, {kEnd, "250 ok\r\n"}},
         "250 550 250 354 250 ok committed"},
        {"AllRcptRefused", kPipe, 2, {{kPiped, "250 a\r\n550 b\r\n550 c\r\n503 d\r\n"}}, "250 550 550 503 - RCPT"},
        {"AllRcptRefusedYetDataTaken", kPipe, 2,
         {{kPiped, "250 a\r\n550 b\r\n550 c\r\n354 d\r\n"}, {".\r\n", "554 no recipients\r\n"}},
         "250 550 550 354 - RCPT"},
        {"AllRcptRefusedYetLoneDotTaken", kPipe, 2,
         {{kPiped, "250 a\r\n550 b\r\n550 c\r\n354 d\r\n"}, {".\r\n", "250 ok\r\n"}}, "250 550 550 354 - RCPT"},
        {"MailRefused", kPipe, 2, {{kPiped, "550 a\r\n503 b\r\n503 c\r\n503 d\r\n"}}, "550 503 503 503 - MAIL"},
        {"DataRefused", kPipe, 2, {{kPiped, "250 a\r\n250 b\r\n250 c\r\n451 d\r\n"}}, "250 250 250 451 - DATA"},
        {"ClosingAmongThem", kPipe, 2, {{kPiped, "250 a\r\n421 b\r\n421 c\r\n421 d\r\n"}},
         "250 421 421 421 - RCPT closing", Want::kClose},
        {"NoBodyAfterClosing", kPipe, 2, {{kPiped, "250 a\r\n250 b\r\n421 c\r\n354 d\r\n"}},
         "250 250 421 354 - DATA closing", Want::kClose},
        {"ShortBodyGoesInOneWrite", kAll, 2, {{kPipeMail + kR0 + kR1 + kBdat, "250 a\r\n250 b\r\n250 c\r\n250 d\r\n"}},
         "250 250 250 - 250 ok committed"},
        {"OneWriteRcptPartlyRefused", kAll, 2,
         {{kPipeMail + kR0 + kR1 + kBdat, "250 a\r\n550 b\r\n250 c\r\n250 d\r\n"}}, "250 550 250 - 250 ok committed"},
        {"OneWriteAllRcptRefused", kAll, 2,
         {{kPipeMail + kR0 + kR1 + kBdat, "250 a\r\n550 b\r\n450 c\r\n503 d\r\n"}}, "250 550 450 - - RCPT committed"},
        {"OneWriteMailRefused", kAll, 1, {{kPipeMail + kR0 + kBdat, "451 a\r\n503 b\r\n503 c\r\n"}},
         "451 503 - - MAIL committed"},
        {"OneWriteRefusedAtTheEnd", kAll, 1, {{kPipeMail + kR0 + kBdat, "250 a\r\n250 b\r\n452 c\r\n"}},
         "250 250 - 452 end of data committed"},
        {"OneWriteClosing", kAll, 1, {{kPipeMail + kR0 + kBdat, "421 a\r\n421 b\r\n421 c\r\n"}},
         "421 421 - - MAIL committed closing", Want::kClose},
        {"ChunkingAlone", kChunk, 1, {{kMail, "250 a\r\n"}, {kR0, "250 b\r\n"}, {kBdat, "250 c\r\n"}},
         "250 250 - 250 ok committed"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

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

TEST(ClientSession, LongBodyGoesInBlocksAndCommitsWithTheLast) {
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
    EXPECT_EQ(client.writes(), 5);
    EXPECT_EQ(client.commits(), 1);
    client.Says("250 ok\r\n");
    EXPECT_EQ(client.session().result().failed_at, std::nullopt);
  }
}

// The peer refuses a body half-way: its reply is the final one, and the connection is of no more use.
TEST(ClientSession, ReplyInTheMiddleOfTheBody) {
  const std::string body = std::string(1'000'000, 'x') + "\r\n";
  for (const auto& [reply, summary] : {std::pair("552 too large\r\n", "250 250 354 552 body"),
                                       std::pair("250 taken\r\n", "250 250 354 - body broke"),
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

}  // namespace
}  // namespace hikyaku::smtp
