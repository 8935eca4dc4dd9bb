#include "services/hikyaku/sink/session.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace hikyaku::sink {
namespace {

// A session with a script, and what it kept.
class Dialogue {
 public:
  explicit Dialogue(const std::vector<std::string>& rules = {}, SessionOptions options = {})
      : rules_(Parse(rules), true),
        session_(options, &rules_, *net::ParseEndpoint("127.0.0.1:25"), [this](const Mail& mail) {
          mails.push_back(mail);
          return keeps;
        }) {
    Take(session_.Start());
  }

  // Says `bytes` in pieces of `piece` octets, and gives the codes of the answers: "250 250 354".
  std::string Say(absl::string_view bytes, std::size_t piece = 1 << 20) {
    codes_.clear();
    while (!bytes.empty() && !dropped && !closed) {
      absl::string_view in = bytes.substr(0, piece);
      bytes.remove_prefix(in.size());
      while (!in.empty() && !dropped && !closed) Take(session_.Take(&in));
    }
    return codes_;
  }

  // The client has got the 220 and shaken hands.
  void Secured() {
    starttls = false;
    session_.Secured("TLSv1.3 x");
  }

  std::vector<Mail> mails;
  bool keeps = true;
  bool starttls = false;
  bool dropped = false;
  bool closed = false;
  absl::Duration delay;
  std::string output;

 private:
  static std::vector<Rule> Parse(const std::vector<std::string>& texts) {
    std::vector<Rule> rules;
    for (const std::string& text : texts) rules.push_back(*ParseRule(text));
    return rules;
  }

  void Take(Session::Step step) {
    delay += step.delay;
    dropped = step.drop;
    closed = step.close;
    if (step.drop) return;
    output = step.output;
    starttls = step.starttls;
    for (const absl::string_view line : absl::StrSplit(step.output, "\r\n")) {
      if (line.size() > 3 && line[3] == ' ') absl::StrAppend(&codes_, codes_.empty() ? "" : " ", line.substr(0, 3));
    }
  }

  Rules rules_;
  Session session_;
  std::string codes_;
};

constexpr char kEnvelope[] = "EHLO c.test\r\nMAIL FROM:<s@c.test>\r\nRCPT TO:<a@x.test>\r\n";

TEST(SinkSession, TakesAMailHoweverItIsCut) {
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 1000u}) {
    Dialogue d;
    EXPECT_EQ(d.Say(absl::StrCat(kEnvelope, "DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"), piece),
              "250 250 250 354 250 221");
    ASSERT_EQ(d.mails.size(), 1u);
    EXPECT_EQ(d.mails[0].data, "Subject: x\r\n\r\n.dot\r\n");
    EXPECT_EQ(d.mails[0].helo, "c.test");
    EXPECT_TRUE(d.mails[0].faults.empty());
    EXPECT_TRUE(d.closed);
  }
}

TEST(SinkSession, TakesChunksHoweverTheyAreCut) {
  for (const std::size_t piece : {1u, 2u, 5u, 1000u}) {
    Dialogue d;
    EXPECT_EQ(d.Say(absl::StrCat(kEnvelope, "BDAT 5\r\nab\r\nc", "BDAT 3 LAST\r\n\r\n.", "RSET\r\n"), piece),
              "250 250 250 250 250 250");
    ASSERT_EQ(d.mails.size(), 1u);
    EXPECT_EQ(d.mails[0].data, "ab\r\nc\r\n.");
    EXPECT_TRUE(d.mails[0].chunked);
  }
}

TEST(SinkSession, TakesAnEmptyLastChunk) {
  Dialogue d;
  EXPECT_EQ(d.Say(absl::StrCat(kEnvelope, "BDAT 2\r\n\r\nBDAT 0 LAST\r\n")), "250 250 250 250 250");
  ASSERT_EQ(d.mails.size(), 1u);
}

TEST(SinkSession, TakesSeveralMails) {
  Dialogue d;
  d.Say(absl::StrCat(kEnvelope, "DATA\r\nx\r\n.\r\n"));
  EXPECT_EQ(d.Say("MAIL FROM:<>\r\nRCPT TO:<b@x.test>\r\nDATA\r\ny\r\n.\r\n"), "250 250 354 250");
  ASSERT_EQ(d.mails.size(), 2u);
  EXPECT_TRUE(d.mails[1].sender.empty());
  EXPECT_EQ(d.mails[1].recipients[0].local, "b");
}

TEST(SinkSession, SpeaksTlsWhereItIsToOfferIt) {
  EXPECT_EQ(Dialogue().Say("EHLO c.test\r\nSTARTTLS\r\n"), "250 500");
  SessionOptions options;
  options.starttls = true;
  Dialogue d({}, options);
  d.Say("EHLO c.test\r\n");
  EXPECT_NE(d.output.find("STARTTLS\r\n"), std::string::npos);
  EXPECT_EQ(d.Say("STARTTLS\r\n"), "220");
  EXPECT_TRUE(d.starttls);
  d.Secured();
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test>\r\n"), "503") << "what was said before is forgotten";
  d.Say("EHLO c.test\r\n");
  EXPECT_EQ(d.output.find("STARTTLS"), std::string::npos);
  EXPECT_EQ(d.Say("STARTTLS\r\n"), "503");
  EXPECT_EQ(d.Say(absl::StrCat(kEnvelope, "DATA\r\nx\r\n.\r\n")), "250 250 250 354 250");
  ASSERT_EQ(d.mails.size(), 1u);
  EXPECT_EQ(d.mails[0].tls, "TLSv1.3 x");
}

TEST(SinkSession, EndsWhereMoreStandsBehindStarttls) {
  SessionOptions options;
  options.starttls = true;
  Dialogue d({}, options);
  EXPECT_EQ(d.Say("EHLO c.test\r\nSTARTTLS\r\nNOOP\r\n"), "250 421");
  EXPECT_TRUE(d.closed);
  EXPECT_FALSE(d.starttls);
}

TEST(SinkSession, FollowsTheScript) {
  EXPECT_TRUE(Dialogue({"*=at connect reply 554 go"}).closed);
  EXPECT_TRUE(Dialogue({"*=at connect drop"}).dropped);
  EXPECT_EQ(Dialogue({"*=at ehlo reply 451 x"}).Say(kEnvelope), "451 503 503");
  EXPECT_EQ(Dialogue({"*=at mail reply 451 x"}).Say(kEnvelope), "250 451 503");
  EXPECT_EQ(Dialogue({"a@=reply 451 x"}).Say(absl::StrCat(kEnvelope, "DATA\r\n")), "250 250 451 554");
  EXPECT_EQ(Dialogue({"a@=at data reply 451 x"}).Say(absl::StrCat(kEnvelope, "DATA\r\nNOOP\r\n")),
            "250 250 250 451 250");
}

TEST(SinkSession, FollowsTheScriptAtTheDot) {
  const std::string mail = absl::StrCat(kEnvelope, "DATA\r\nx\r\n.\r\n");
  Dialogue refuse({"a@=at dot reply 554 5.6.0 x"});
  EXPECT_EQ(refuse.Say(mail), "250 250 250 354 554");
  EXPECT_TRUE(refuse.mails.empty());
  Dialogue drop({"a@=at dot drop"});
  EXPECT_EQ(drop.Say(mail), "250 250 250 354");
  EXPECT_TRUE(drop.dropped);
  EXPECT_TRUE(drop.mails.empty());
  Dialogue lose({"a@=at dot lose"});
  EXPECT_EQ(lose.Say(mail), "250 250 250 354");
  EXPECT_TRUE(lose.dropped);
  EXPECT_EQ(lose.mails.size(), 1u);
  Dialogue slow({"a@=at dot delay 3s"});
  EXPECT_EQ(slow.Say(mail), "250 250 250 354 250");
  EXPECT_EQ(slow.delay, absl::Seconds(3));
}

TEST(SinkSession, RefusesAChunkWhoseMailIsRefused) {
  Dialogue d({"a@=at data reply 451 x"});
  EXPECT_EQ(d.Say(absl::StrCat(kEnvelope, "BDAT 4\r\nNOOPBDAT 4 LAST\r\nQUITRSET\r\n")), "250 250 250 451 503 250");
  EXPECT_TRUE(d.mails.empty());
}

TEST(SinkSession, OffersAndAcceptsOnlyWhatIsSwitchedOn) {
  SessionOptions plain;
  plain.eight_bit = plain.chunking = plain.pipelining = plain.smtputf8 = false;
  Dialogue d({}, plain);
  EXPECT_EQ(d.Say("EHLO c\r\n"), "250");
  EXPECT_EQ(d.output, "250-sink.test\r\n250-SIZE 104857600\r\n250 ENHANCEDSTATUSCODES\r\n");
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test> SMTPUTF8\r\n"), "555");
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test> BODY=8BITMIME\r\n"), "555");
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test>\r\n"), "250");
  EXPECT_EQ(d.Say("RCPT TO:<a@x.test>\r\nDATA\r\n"), "250 354");
  EXPECT_EQ(d.Say("\xc3\xbc\r\n.\r\n"), "250");
  EXPECT_EQ(d.mails[0].faults, (std::set<std::string>{"8bit", "pipelining"}));
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test>\r\nRCPT TO:<a@x.test>\r\nBDAT 1 LAST\r\nx"), "250 250 500");
  EXPECT_TRUE(d.closed);
}

TEST(SinkSession, NotesBadLines) {
  Dialogue d;
  d.Say(absl::StrCat(kEnvelope, "DATA\r\na\nb\rc\r\n", std::string(999, 'x'), "\r\n.\r\n"));
  EXPECT_EQ(d.mails[0].faults, (std::set<std::string>{"bare-cr", "bare-lf", "long-line"}));
  d.Say(absl::StrCat(kEnvelope, "BDAT 3 LAST\r\na\nb"));
  EXPECT_EQ(d.mails[1].faults, (std::set<std::string>{"bare-lf"}));
  d.Say(absl::StrCat(kEnvelope, "DATA\r\n", std::string(998, 'x'), "\r\n.\r\n"));
  EXPECT_TRUE(d.mails[2].faults.empty());
}

TEST(SinkSession, BoundsWhatAClientCosts) {
  SessionOptions small;
  small.max_size = 10;
  small.max_recipients = 1;
  Dialogue d({}, small);
  EXPECT_EQ(d.Say("EHLO c\r\nMAIL FROM:<s@c.test> SIZE=11\r\n"), "250 552");
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test>\r\nRCPT TO:<a@x.test>\r\nRCPT TO:<b@x.test>\r\n"), "250 250 452");
  EXPECT_EQ(d.Say("DATA\r\n01234567890\r\n.\r\n"), "354 552");
  EXPECT_EQ(d.Say("MAIL FROM:<s@c.test>\r\nRCPT TO:<a@x.test>\r\nBDAT 11 LAST\r\n01234567890"), "250 250 552");
  EXPECT_TRUE(d.mails.empty());
  EXPECT_EQ(d.Say(std::string(5000, 'x')), "500");
  EXPECT_TRUE(d.closed);
}

TEST(SinkSession, AnswersFourWhenTheMailCannotBeKept) {
  Dialogue d;
  d.keeps = false;
  EXPECT_EQ(d.Say(absl::StrCat(kEnvelope, "DATA\r\nx\r\n.\r\n")), "250 250 250 354 451");
}

}  // namespace
}  // namespace hikyaku::sink
