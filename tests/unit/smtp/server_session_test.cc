// The dialogue of the server: order, syntax, limits (BATTERY 2.1).
#include "lib/smtp/server_session.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/smtp/server_dialogue.h"

namespace hikyaku::smtp {
namespace {

using State = ServerSession::State;
using Want = ServerSession::Want;

const char kHello[] = "EHLO c.test\r\n";
const char kMail[] = "MAIL FROM:<alice@ours.test>\r\n";
const char kRcpt[] = "RCPT TO:<r@ok.test>\r\n";

TEST(ServerSession, GreetsOnce) {
  ServerPolicy policy;
  ServerSession session(Trusted(), &policy);
  EXPECT_EQ(session.Start(), Want::kRead);
  EXPECT_EQ(session.TakeOutput(), "220 mx.ours.test ESMTP Hikyaku\r\n");
  EXPECT_EQ(session.TakeOutput(), "");
}

TEST(ServerSession, EhloNamesTheExtensions) {
  ServerDialogue client(Trusted());
  EXPECT_EQ(client.Send(kHello), std::vector<int>{250});
  EXPECT_EQ(client.lines(),
            (std::vector<std::string>{"250-mx.ours.test", "250-PIPELINING", "250-SIZE 26214400", "250-8BITMIME",
                                      "250-SMTPUTF8", "250-CHUNKING", "250-DSN", "250 ENHANCEDSTATUSCODES"}));
  EXPECT_EQ(client.Send(kHello), std::vector<int>{250});
}

TEST(ServerSession, HeloHasNoExtensions) {
  ServerDialogue client(Trusted());
  EXPECT_EQ(client.Send("HELO c.test\r\n"), std::vector<int>{250});
  EXPECT_EQ(client.lines(), std::vector<std::string>{"250 mx.ours.test"});
}

struct SequenceCase {
  const char* name;
  std::vector<std::string> lines;  // Each is followed by CRLF.
  std::vector<int> codes;          // One for each.
  State ends_in;
};

class ServerSequence : public testing::TestWithParam<SequenceCase> {};

TEST_P(ServerSequence, LineByLine) {
  ServerDialogue client(Trusted());
  std::vector<int> codes;
  for (const std::string& line : GetParam().lines) {
    for (int code : client.Send(line + "\r\n")) codes.push_back(code);
  }
  EXPECT_EQ(codes, GetParam().codes);
  EXPECT_EQ(client.session().state(), GetParam().ends_in);
}

// P16: one segment, answered in order.
TEST_P(ServerSequence, InOneSegment) {
  ServerDialogue client(Trusted());
  std::string all;
  for (const std::string& line : GetParam().lines) all += line + "\r\n";
  EXPECT_EQ(client.Send(all), GetParam().codes);
  EXPECT_EQ(client.session().state(), GetParam().ends_in);
}

TEST_P(ServerSequence, OctetByOctet) {
  ServerDialogue client(Trusted());
  std::string all;
  for (const std::string& line : GetParam().lines) all += line + "\r\n";
  EXPECT_EQ(client.SendSlowly(all, 1), GetParam().codes);
}

const std::string kLocal64(64, 'l');
const std::string kLocal65(65, 'l');

INSTANTIATE_TEST_SUITE_P(
    Rfc5321Section414, ServerSequence,
    testing::ValuesIn<SequenceCase>({
        {"HelloNeedsAName", {"HELO", "EHLO", "EHLO  ", "HELO c.test"}, {501, 501, 501, 250}, State::kReady},
        {"HelloTakesLiterals", {"EHLO [127.0.0.1]", "EHLO [IPv6:::1]"}, {250, 250}, State::kReady},
        {"HelloIsLenient", {"EHLO my_laptop", "EHLO -", "EHLO a..b"}, {250, 250, 250}, State::kReady},
        {"HelloThatCouldBeMisread",
         {"EHLO <x>", "EHLO a b", "EHLO a(b", "EHLO \"a", "EHLO \xff", "EHLO a\x01"},
         {501, 501, 501, 501, 501, 500},
         State::kGreeted},
        {"HelloOf255", {"EHLO " + std::string(255, 'h'), "EHLO " + std::string(256, 'h')}, {250, 501}, State::kReady},
        {"HelloOf600", {"EHLO " + std::string(600, 'h'), "EHLO c"}, {501, 250}, State::kReady},
        {"MailNeedsHello", {"MAIL FROM:<a@b.test>"}, {503}, State::kGreeted},
        {"RcptNeedsMail", {"EHLO c", "RCPT TO:<r@ok.test>"}, {250, 503}, State::kReady},
        {"DataNeedsRcpt", {"EHLO c", "DATA", "MAIL FROM:<>", "DATA"}, {250, 503, 250, 503}, State::kMail},
        {"OneMailAtATime", {"EHLO c", "MAIL FROM:<>", "MAIL FROM:<>"}, {250, 250, 503}, State::kMail},
        {"RsetEndsTheMail",
         {"EHLO c", "MAIL FROM:<>", "RCPT TO:<r@ok.test>", "RSET", "RCPT TO:<r@ok.test>", "MAIL FROM:<>"},
         {250, 250, 250, 250, 503, 250},
         State::kMail},
        {"EhloEndsTheMail",
         {"EHLO c", "MAIL FROM:<>", "EHLO c", "RCPT TO:<r@ok.test>"},
         {250, 250, 250, 503},
         State::kReady},
        {"BadEhloKeepsTheMail",
         {"EHLO c", "MAIL FROM:<>", "EHLO", "RCPT TO:<r@ok.test>"},
         {250, 250, 501, 250},
         State::kRcpt},
        {"RsetBeforeHello", {"RSET", "MAIL FROM:<>"}, {250, 503}, State::kGreeted},
        {"RefusedMailKeepsState", {"EHLO c", "MAIL FROM:<a@b", "MAIL FROM:<a@b.test>"}, {250, 501, 250}, State::kMail},
        {"RefusedRcptKeepsState",
         {"EHLO c", "MAIL FROM:<>", "RCPT TO:<>", "RCPT TO:<x@[10.0.0.1]>"},
         {250, 250, 501, 550},
         State::kMail},
        {"AllRcptRefusedLeavesNoData",
         {"EHLO c", "MAIL FROM:<>", "RCPT TO:<u@[127.0.0.1]>", "DATA"},
         {250, 250, 550, 503},
         State::kMail},
        {"BarePostmasterHasNoMailbox",
         {"EHLO c", "MAIL FROM:<>", "RCPT TO:<postmaster>"},
         {250, 250, 550},
         State::kMail},
        {"AnyCase", {"ehlo c", "mAiL fRoM:<alice@ours.test>", "rcpt to:<r@ok.test>"}, {250, 250, 250}, State::kRcpt},
        {"NoopTakesAnything", {"NOOP  ", "NOOP x", "noop"}, {250, 250, 250}, State::kGreeted},
        {"Vrfy", {"VRFY alice", "VRFY nobody@x.test", "VRFY", "EXPN list"}, {252, 252, 501, 502}, State::kGreeted},
        {"Help", {"HELP", "HELP MAIL"}, {214, 214}, State::kGreeted},
        {"Quit", {"QUIT", "NOOP"}, {221}, State::kClosed},
        {"NotOffered", {"EHLO c", "STARTTLS", "AUTH PLAIN AGEAYg==", "AUTH"}, {250, 502, 502, 502}, State::kReady},
        {"ArgumentsWhereNoneBelong",
         {"EHLO c", "MAIL FROM:<>", "RCPT TO:<r@ok.test>", "DATA x", "RSET x", "QUIT x"},
         {250, 250, 250, 501, 501, 501},
         State::kRcpt},
        {"BadMailArguments",
         {"EHLO c", "MAIL FROM:", "MAIL TO:<a@b>", "MAIL FROM:<a@b", "MAIL FROM:<a@b.test> FOO=1",
          "MAIL FROM:<a@b.test> SIZE=-1", "MAIL FROM:<a@b.test> SIZE=99999999999999999999",
          "MAIL FROM:<a@b.test> SIZE=1 SIZE=2", "MAIL FROM:<a@b.test> BODY=9BIT", "MAIL FROM:<a@b.test>"},
         {250, 501, 501, 501, 555, 501, 501, 501, 501, 250},
         State::kMail},
        {"EightBitCommand", {"\x80\x81", "NOOP"}, {500, 250}, State::kGreeted},
        {"NulInCommand", {std::string("NO\0OP", 5), "NOOP"}, {500, 250}, State::kGreeted},
        {"InvalidUtf8Sender", {"EHLO c", "MAIL FROM:<\xff@ours.test>", "NOOP"}, {250, 501, 250}, State::kReady},
        {"EmptyLine", {"", "NOOP"}, {500, 250}, State::kGreeted},
        {"BareLfIsNoLineEnd", {"NOOP\nRSET", "NOOP"}, {500, 250}, State::kGreeted},
        {"BareCrIsNoLineEnd", {"NOOP\rRSET", "NOOP"}, {500, 250}, State::kGreeted},
        {"LocalPartLength",
         {"EHLO c", "MAIL FROM:<" + kLocal65 + "@b.test>", "MAIL FROM:<" + kLocal64 + "@b.test>",
          "RCPT TO:<" + kLocal65 + "@b.test>", "RCPT TO:<" + kLocal64 + "@b.test>"},
         {250, 501, 250, 501, 250},
         State::kRcpt},
        {"Utf8NeedsTheParameter",
         {"EHLO c", "MAIL FROM:<\xc3\xbc@b.test>", "MAIL FROM:<a@b.test>", "RCPT TO:<\xc3\xbc@ok.test>", "RSET",
          "MAIL FROM:<a@b.test> SMTPUTF8", "RCPT TO:<\xc3\xbc@ok.test>"},
         {250, 553, 250, 553, 250, 250, 250},
         State::kRcpt},
        {"LiteralsAndTricksAreRefused",
         {"EHLO c", "MAIL FROM:<>", "RCPT TO:<u@[127.0.0.1]>", "RCPT TO:<u@[10.9.9.1]>", "RCPT TO:<u@[IPv6:::1]>",
          "RCPT TO:<u@[IPv6:::ffff:127.0.0.1]>", "RCPT TO:<u@127.1>", "RCPT TO:<u@2130706433>", "RCPT TO:<u@[0x7f.1]>",
          "RCPT TO:<u@ok.test:25>", "RCPT TO:<u@ok.test/..>"},
         {250, 250, 550, 550, 550, 550, 501, 501, 501, 501, 501},
         State::kMail},
    }),
    [](const auto& info) { return std::string(info.param.name); });

// P12. The longest line is 1000 octets with CRLF; what is longer is dropped, and answered once.
TEST(ServerLimits, CommandLineLength) {
  for (std::size_t total : {510u, 512u, 998u, 1000u, 1001u, 2048u, 1u << 20, 10u << 20}) {
    ServerDialogue client(Trusted());
    const std::string line = "NOOP " + std::string(total - 7, 'a') + "\r\n";
    const int expected = total <= ServerSession::kMaxCommandLine ? 250 : 500;
    EXPECT_EQ(client.SendSlowly(line, 65'536), std::vector<int>{expected}) << total;
    EXPECT_TRUE(absl::StartsWith(client.last(), expected == 500 ? "500 5.5.6 " : "250 "));
    EXPECT_EQ(client.Send("NOOP\r\n"), std::vector<int>{250});
  }
}

TEST(ServerLimits, OverlongLineEndsAtCrlfOnly) {
  const std::string line = std::string(1500, 'a') + "\nNOOP\r" + std::string(500, 'b') + "\r\nNOOP\r\n";
  for (std::size_t step : {1u, 999u, 1000u, 1001u, 9999u}) {
    ServerDialogue client(Trusted());
    EXPECT_EQ(client.SendSlowly(line, step), (std::vector<int>{500, 250})) << step;
  }
}

TEST(ServerLimits, EndlessLineEndsTheSession) {
  ServerDialogue client(Trusted());
  const std::string block(1 << 16, 'a');
  std::vector<int> codes;
  for (int i = 0; i < 1000 && !client.closed(); ++i) codes = client.Send(block);
  EXPECT_EQ(codes, std::vector<int>{421});
  EXPECT_TRUE(client.closed());
}

TEST(ServerLimits, ErrorsEndTheSession) {  // P10.
  ServerDialogue client(Trusted());
  int replies = 0;
  for (; replies < 30 && !client.closed(); ++replies) {
    const std::vector<int> codes = client.Send("FOO\r\n");
    ASSERT_EQ(codes, std::vector<int>{client.closed() ? 421 : 500});
  }
  EXPECT_EQ(replies, 20);
  EXPECT_TRUE(absl::StartsWith(client.last(), "421 4.7.0 "));
}

TEST(ServerLimits, ErrorsInOneSegmentStopAtTheLimit) {
  ServerDialogue client(Trusted());
  std::string all;
  for (int i = 0; i < 10'000; ++i) all += "FOO\r\n";
  EXPECT_EQ(client.Send(all).size(), 20u);
}

TEST(ServerLimits, CommandsWithoutMailEndTheSession) {  // O06.
  for (const char* command : {"NOOP", "RSET", "VRFY a", "HELP", "EHLO c"}) {
    ServerDialogue client(Trusted());
    int replies = 0;
    while (!client.closed() && replies < 1000) {
      client.Send(absl::StrCat(command, "\r\n"));
      ++replies;
    }
    EXPECT_EQ(replies, 101) << command;
    EXPECT_TRUE(absl::StartsWith(client.last(), "421 4.7.0 ")) << command;
  }
}

TEST(ServerLimits, MailsKeepTheSessionOpen) {
  ServerDialogue client(Trusted());
  client.Send(kHello);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(client.Send(absl::StrCat("RSET\r\n", kMail, kRcpt, "DATA\r\n")), (std::vector<int>{250, 250, 250, 354}));
    EXPECT_EQ(client.Send(".\r\n"), std::vector<int>{250});
  }
  EXPECT_EQ(client.session().messages(), 200u);
}

TEST(ServerLimits, RecipientsBeyondTheLimit) {  // P15.
  ServerOptions options = Trusted();
  options.max_recipients = 100;
  ServerDialogue client(options);
  client.Send(absl::StrCat(kHello, kMail));
  for (int i = 0; i < 130; ++i) {
    const std::string rcpt = absl::StrCat("RCPT TO:<r", i, "@ok.test>\r\n");
    EXPECT_EQ(client.Send(rcpt), std::vector<int>{i < 100 ? 250 : 452});
  }
  EXPECT_TRUE(absl::StartsWith(client.last(), "452 4.5.3 "));
  EXPECT_EQ(client.Send("DATA\r\n.\r\n"), (std::vector<int>{354, 250}));
  ASSERT_EQ(client.mails().size(), 1u);
  EXPECT_EQ(client.mails()[0].recipients.size(), 100u);
}

TEST(ServerSession, TimeoutAndShutdownSayWhy) {  // P23.
  ServerDialogue idle(Trusted());
  EXPECT_EQ(idle.After(idle.session().TimedOut()), std::vector<int>{421});
  EXPECT_TRUE(absl::StartsWith(idle.last(), "421 4.4.2 "));
  EXPECT_TRUE(idle.closed());

  ServerDialogue in_data(Trusted());
  in_data.Send(absl::StrCat(kHello, kMail, kRcpt, "DATA\r\nSubject: x\r\n"));
  EXPECT_TRUE(in_data.session().reading_data());
  EXPECT_EQ(in_data.After(in_data.session().ShutDown()), std::vector<int>{421});
  EXPECT_TRUE(absl::StartsWith(in_data.last(), "421 4.3.2 "));
  EXPECT_TRUE(in_data.closed());
  EXPECT_TRUE(in_data.mails().empty());
}

TEST(ServerSession, RefuseInsteadOfGreeting) {
  ServerPolicy policy;
  ServerSession session(Stranger(), &policy);
  EXPECT_EQ(session.Refuse({421, "4.7.0", "Too many connections"}), Want::kClose);
  EXPECT_EQ(session.TakeOutput(), "421 4.7.0 Too many connections\r\n");
}

struct Gate : ServerPolicy {
  std::optional<Reply> CheckMail(const Transaction& t) override {
    seen = t.sender.ToString();
    return full ? std::optional<Reply>({452, "4.3.1", "Disk full"}) : std::nullopt;
  }
  std::optional<Reply> CheckRcpt(const Transaction& t, const address::Address& a) override {
    if (a.domain == "no.test") return Reply{550, "5.7.1", "No"};
    return a.domain == "[192.0.2.1]" ? std::nullopt : ServerPolicy::CheckRcpt(t, a);
  }
  std::optional<Reply> CheckData(const Transaction& t) override {
    return t.recipients.size() > 1 ? std::optional<Reply>({451, "4.3.2", "Later"}) : std::nullopt;
  }
  bool full = true;
  std::string seen;
};

TEST(ServerPolicy, RefusesAtEachStep) {
  Gate gate;
  ServerDialogue client(Trusted(), &gate);
  EXPECT_EQ(client.Send(absl::StrCat(kHello, kMail)), (std::vector<int>{250, 452}));
  EXPECT_EQ(gate.seen, "alice@ours.test");
  EXPECT_EQ(client.session().state(), State::kReady);
  gate.full = false;
  EXPECT_EQ(client.Send(absl::StrCat(kMail,
                                     "RCPT TO:<x@no.test>\r\nRCPT TO:<x@[192.0.2.1]>\r\n"
                                     "RCPT TO:<x@[192.0.2.2]>\r\n",
                                     kRcpt, "DATA\r\n", "RSET\r\n")),
            (std::vector<int>{250, 550, 250, 550, 250, 451, 250}));
}

// A page of somebody else's can make a browser on a trusted machine send what it likes behind an HTTP request.
TEST(ServerSecurity, AnHttpRequestEndsTheSession) {
  for (const char* line : {"GET / HTTP/1.1", "POST /x HTTP/1.1", "post /x", "OPTIONS * HTTP/1.0", "CONNECT ok.test:25",
                           "PRI * HTTP/2.0", "FOO / HTTP/1.1", "Host: 127.0.0.1:2525"}) {
    ServerDialogue client(Trusted());
    EXPECT_EQ(client.Send(absl::StrCat(line, "\r\nEHLO c.test\r\nMAIL FROM:<a@b.test>\r\n")), std::vector<int>{421})
        << line;
    EXPECT_TRUE(client.closed()) << line;
  }
  ServerDialogue client(Trusted());
  EXPECT_EQ(client.Send("EHLO c.test\r\nGETTING\r\nNOOP HTTP/1.1\r\nVRFY get\r\n"),
            (std::vector<int>{250, 500, 250, 252}));
}

}  // namespace
}  // namespace hikyaku::smtp
