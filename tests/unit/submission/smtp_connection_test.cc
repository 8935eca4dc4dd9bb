#include "services/submission/smtp_connection.h"

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "lib/net/memory_stream.h"
#include "lib/net/task_group.h"
#include "tests/unit/net/run.h"
#include "tests/unit/submission/fake_acceptor.h"

namespace hikyaku::submission {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(10);
constexpr char kEnvelope[] = "EHLO c.test\r\nMAIL FROM:<alice@ours.test>\r\nRCPT TO:<r@ok.test>\r\n";
constexpr char kMessage[] = "From: alice@ours.test\r\nSubject: x\r\n\r\nHello\r\n.\r\n";

// A connection to the server over memory, both ends on the test's thread.
class SmtpConnectionTest : public testing::Test {
 protected:
  SmtpConnectionTest() {
    settings_.session.hostname = "mail.example.jp";
    settings_.assemble.hostname = "mail.example.jp";
    settings_.trusted.push_back(*address::Cidr::Parse("127.0.0.0/8"));
  }

  ~SmtpConnectionTest() override {
    if (client_ != nullptr) client_->Close();
    tasks_.Close();
    context_.restart();
    while (tasks_.size() > 0) context_.run_one();
    EXPECT_EQ(budget_.used(), 0u);
  }

  void Connect(const char* from = "127.0.0.1") {
    auto [client, server] =
        net::MakeMemoryPair(context_.get_executor(), {*address::IpAddress::Parse(from), 999}, {{}, 25});
    client_ = std::move(client);
    tasks_.Spawn(context_.get_executor(), ServeSmtp(std::move(server), std::make_shared<const SmtpSettings>(settings_),
                                                    {&acceptor_, &policy_, &budget_, clock_, &drain_, &admission_}));
  }

  static awaitable<bool> WriteTo(net::Stream& stream, std::string bytes) {
    const absl::Status written = co_await stream.WriteAll(bytes, kLimit);
    co_return written.ok();
  }

  static awaitable<std::string> ReadReply(net::Stream& stream) {
    std::string reply;
    char byte = 0;
    for (;;) {
      const absl::StatusOr<std::size_t> count = co_await stream.ReadSome(&byte, 1, kLimit);
      if (!count.ok()) co_return absl::StrCat("<", absl::StatusCodeToString(count.status().code()), ">");
      reply.push_back(byte);
      if (!absl::EndsWith(reply, "\r\n")) continue;
      const std::vector<std::string> lines = absl::StrSplit(reply, "\r\n");
      if (lines[lines.size() - 2].size() < 4 || lines[lines.size() - 2][3] == ' ') co_return reply;
    }
  }

  void Send(const std::string& bytes) { net::RunTask(context_, WriteTo(*client_, bytes)); }
  std::string Reply() { return net::RunTask(context_, ReadReply(*client_)); }
  std::string Ask(const std::string& bytes) {
    Send(bytes);
    return Reply();
  }

  // Connected, greeted, and with a recipient.
  void Begin() {
    Connect();
    EXPECT_TRUE(absl::StartsWith(Reply(), "220 mail.example.jp "));
    Send(kEnvelope);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(absl::StartsWith(Reply(), "250"));
  }

  std::string SendMessage(const std::string& message = kMessage) {
    EXPECT_TRUE(absl::StartsWith(Ask("DATA\r\n"), "354"));
    return Ask(message);
  }

  asio::io_context context_{1};
  net::TaskGroup tasks_;
  SmtpSettings settings_;
  FakeAcceptor acceptor_;
  LiteralPolicy policy_;
  MemoryBudget budget_{1 << 20};
  FakeClock fake_clock_;
  Clock* clock_ = &Clock::System();
  net::Admission admission_{
      {.total = 4, .per_client = 0, .exempt = nullptr, .rate_per_client = 0, .rate_exempt = nullptr}};
  SmtpDrain drain_;
  std::unique_ptr<net::MemoryStream> client_;
};

TEST_F(SmtpConnectionTest, MessageIsAcceptedWithItsId) {
  Begin();
  const std::string reply = SendMessage();
  ASSERT_EQ(acceptor_.mails.size(), 1u);
  const Mail& mail = acceptor_.mails[0];
  EXPECT_EQ(reply, absl::StrCat("250 2.0.0 OK ", mail.id.text(), "\r\n"));
  EXPECT_EQ(mail.sender.ToString(), "alice@ours.test");
  EXPECT_EQ(mail.recipients.at(0).ToString(), "r@ok.test");
  EXPECT_TRUE(absl::StartsWith(mail.message.bytes, "Received: from c.test ([127.0.0.1])\r\n\tby mail.example.jp"));
  EXPECT_TRUE(absl::EndsWith(mail.message.bytes, "\r\n\r\nHello\r\n"));
  EXPECT_EQ(Ask("QUIT\r\n").substr(0, 3), "221");
  EXPECT_EQ(Reply(), "<OUT_OF_RANGE>");
}

// RFC 3461: and whoever may relay may be told.
TEST_F(SmtpConnectionTest, WhatTheSenderWantsToBeToldIsKept) {
  Connect();
  Reply();
  Send(
      "EHLO c.test\r\nMAIL FROM:<alice@ours.test> RET=HDRS ENVID=x1\r\n"
      "RCPT TO:<r@ok.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;R@old.test\r\nRCPT TO:<q@ok.test>\r\n"
      "RCPT TO:<r@ok.test> NOTIFY=NEVER\r\nDATA\r\n");
  for (int i = 0; i < 6; ++i) Reply();
  EXPECT_TRUE(absl::StartsWith(Ask(kMessage), "250 "));
  const Mail& mail = acceptor_.mails.back();
  EXPECT_EQ(mail.reports.sender, storage::v1::SENDER_REPORTS_WANTED);
  EXPECT_EQ(mail.reports.returned, dsn::Returned::kHeaders);
  EXPECT_EQ(mail.reports.envelope_id, "x1");
  ASSERT_EQ(mail.wishes.size(), 2u);
  EXPECT_EQ(mail.wishes[0].notify, dsn::kSuccess | dsn::kFailure);
  EXPECT_EQ(mail.wishes[0].original_recipient, "rfc822;R@old.test");
  EXPECT_EQ(mail.wishes[1].notify, 0u);
}

TEST_F(SmtpConnectionTest, TheNullSenderIsToldNothing) {
  Connect();
  Reply();
  Send("EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<r@ok.test>\r\nDATA\r\n");
  for (int i = 0; i < 4; ++i) Reply();
  EXPECT_TRUE(absl::StartsWith(Ask(kMessage), "250 "));
  EXPECT_EQ(acceptor_.mails.back().reports.sender, storage::v1::SENDER_REPORTS_NOT_ASKED);
  EXPECT_TRUE(acceptor_.mails.back().wishes.empty());
}

TEST_F(SmtpConnectionTest, ManyMessagesOverOneConnection) {
  Begin();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(SendMessage().substr(0, 3), "250");
    Send("MAIL FROM:<>\r\nRCPT TO:<r@ok.test>\r\nRCPT TO:<r@OK.test>\r\n");
    for (int j = 0; j < 3; ++j) EXPECT_EQ(Reply().substr(0, 3), "250");
  }
  EXPECT_EQ(acceptor_.mails.size(), 3u);
  EXPECT_TRUE(acceptor_.mails[1].sender.empty());
  EXPECT_EQ(acceptor_.mails[1].recipients.size(), 1u);
}

TEST_F(SmtpConnectionTest, NoReplyBeforeItIsDurable) {
  Begin();
  acceptor_.hold = true;
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  Send(absl::StrCat(kMessage, "NOOP\r\n"));
  while (acceptor_.held.empty()) context_.poll();
  context_.poll();
  EXPECT_GT(budget_.used(), 0u);
  acceptor_.held[0]();
  EXPECT_TRUE(absl::StrContains(Reply(), "OK "));
  EXPECT_EQ(Reply().substr(0, 3), "250");
}

struct AnswerCase {
  absl::Status status;
  const char* reply;
};

TEST_F(SmtpConnectionTest, StatusesBecomeReplies) {
  Begin();
  for (const AnswerCase& row : {AnswerCase{absl::ResourceExhaustedError("secret path"), "452 4.3.1 "},
                                AnswerCase{absl::UnavailableError("secret host"), "451 4.3.0 "},
                                AnswerCase{absl::DeadlineExceededError("x"), "451 4.3.0 "},
                                AnswerCase{absl::InternalError("x"), "451 4.3.0 "}}) {
    acceptor_.answer = row.status;
    const std::string reply = SendMessage();
    EXPECT_TRUE(absl::StartsWith(reply, row.reply)) << reply;
    EXPECT_FALSE(absl::StrContains(reply, "secret"));
    Send(std::string(kEnvelope));
    for (int i = 0; i < 3; ++i) Reply();
  }
}

TEST_F(SmtpConnectionTest, BadMessagesAreRefusedOnce) {
  std::string loop;
  for (int i = 0; i < 50; ++i) loop += "Received: by x\r\n";
  const std::pair<std::string, const char*> rows[] = {
      {".\r\n", "554 5.6.0 "},
      {"no header\r\n\r\nx\r\n.\r\n", "554 5.6.0 "},
      {absl::StrCat(loop, "From: a@b.test\r\n\r\nx\r\n.\r\n"), "554 5.4.6 "},
      {"From: a@b.test\r\n\r\na\nb\r\n.\r\n", "550 5.6.0 "},
  };
  Begin();
  for (const auto& [message, reply] : rows) {
    EXPECT_TRUE(absl::StartsWith(SendMessage(message), reply)) << message;
    EXPECT_EQ(Ask("NOOP\r\n").substr(0, 3), "250");
    Send(std::string(kEnvelope));
    for (int i = 0; i < 3; ++i) Reply();
  }
  EXPECT_TRUE(acceptor_.mails.empty());
}

TEST_F(SmtpConnectionTest, OnlyTrustedNetworksMayRelay) {
  Connect("192.0.2.1");
  Reply();
  Send(kEnvelope);
  EXPECT_EQ(Reply().substr(0, 3), "250");
  EXPECT_EQ(Reply().substr(0, 3), "250");
  EXPECT_EQ(Reply().substr(0, 9), "550 5.7.1");
  EXPECT_NE(Ask("DATA\r\n").substr(0, 3), "354");
}

TEST_F(SmtpConnectionTest, AddressLiteralIsRefusedByPolicy) {
  Begin();
  EXPECT_EQ(Ask("RCPT TO:<u@[10.9.9.1]>\r\n").substr(0, 10), "550 5.1.2 ");
}

TEST_F(SmtpConnectionTest, NotReadyRefusesAtMail) {
  Connect();
  Reply();
  EXPECT_EQ(Ask("EHLO c.test\r\n").substr(0, 3), "250");
  acceptor_.not_ready = "q0: disk: 5MiB free, 16MiB wanted";
  EXPECT_EQ(Ask("MAIL FROM:<a@b.test>\r\n").substr(0, 9), "452 4.3.1");
  acceptor_.not_ready = "q0: memory: 900MiB used, 800MiB allowed";
  EXPECT_EQ(Ask("MAIL FROM:<a@b.test>\r\n").substr(0, 9), "452 4.3.1");
  acceptor_.not_ready = "q0: shard q0: cannot be reached";
  EXPECT_EQ(Ask("MAIL FROM:<a@b.test>\r\n").substr(0, 9), "451 4.3.0");
}

TEST_F(SmtpConnectionTest, TooMuchLoadRefusesAtMailAndTheSessionGoesOn) {
  Connect();
  Reply();
  EXPECT_EQ(Ask("EHLO c.test\r\n").substr(0, 3), "250");
  acceptor_.load = absl::ResourceExhaustedError("busy");
  EXPECT_EQ(Ask("MAIL FROM:<a@b.test>\r\n").substr(0, 9), "451 4.3.2");
  acceptor_.load = absl::OkStatus();
  EXPECT_EQ(Ask("MAIL FROM:<a@b.test>\r\n").substr(0, 3), "250");
}

TEST_F(SmtpConnectionTest, NoMemoryForADeclaredSizeIs452AtData) {
  Connect();
  Reply();
  Send("EHLO c.test\r\nMAIL FROM:<a@b.test> SIZE=2000000\r\nRCPT TO:<r@ok.test>\r\nDATA\r\n");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Reply().substr(0, 3), "250");
  EXPECT_EQ(Reply().substr(0, 9), "452 4.3.1");
  EXPECT_EQ(Ask("NOOP\r\n").substr(0, 3), "250");
}

TEST_F(SmtpConnectionTest, NoMemoryWithoutADeclaredSizeEndsTheConnection) {
  Begin();
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  std::string line(70, 'a');
  line += "\r\n";
  std::string much;
  for (int i = 0; i < 700; ++i) much += line;
  for (int i = 0; i < 25; ++i) Send(much);
  EXPECT_EQ(Reply().substr(0, 9), "421 4.3.1");
  EXPECT_EQ(Reply().substr(0, 1), "<");
}

TEST_F(SmtpConnectionTest, SilenceIs421) {
  settings_.idle_timeout = absl::Milliseconds(50);
  Connect();
  Reply();
  EXPECT_EQ(Reply().substr(0, 9), "421 4.4.2");
  EXPECT_EQ(Reply().substr(0, 1), "<");
}

// A byte now and then is not a command: the time runs from the last answer.
TEST_F(SmtpConnectionTest, DrippingCommandIs421) {
  settings_.idle_timeout = absl::Milliseconds(100);
  Connect();
  Reply();
  const absl::Time start = absl::Now();
  for (int i = 0; i < 20 && absl::Now() < start + absl::Milliseconds(90); ++i) {
    Send("N");
    context_.run_for(std::chrono::milliseconds(30));
  }
  EXPECT_EQ(Reply().substr(0, 9), "421 4.4.2");
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST_F(SmtpConnectionTest, DrippingMessageEndsAtItsLimit) {
  settings_.data_timeout = absl::Milliseconds(100);
  Begin();
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  for (int i = 0; i < 5; ++i) {
    Send("x");
    context_.run_for(std::chrono::milliseconds(30));
  }
  EXPECT_EQ(Reply().substr(0, 9), "421 4.4.2");
}

// Each byte buys time at the least rate; what is saved is never more than the time for silence.
TEST_F(SmtpConnectionTest, DrippingMessageEndsByItsRate) {
  clock_ = &fake_clock_;
  settings_.idle_timeout = absl::Seconds(100);
  settings_.min_data_rate = 10;
  Begin();
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  const auto drip = [this](const std::string& bytes, absl::Duration after) {
    fake_clock_.Advance(after);
    Send(bytes);
    context_.poll();
  };
  for (int i = 0; i < 5; ++i) drip(std::string(1000, 'x'), absl::Seconds(99));  // Fast enough, with long pauses.
  for (int i = 0; i < 9; ++i) drip("x", absl::Seconds(10));
  const std::size_t sessions = tasks_.size();
  EXPECT_EQ(sessions, 1u);
  drip("x", absl::Seconds(11));
  EXPECT_EQ(Reply().substr(0, 9), "421 4.4.2");
}

TEST_F(SmtpConnectionTest, WithoutALeastRateADripIsEnough) {
  clock_ = &fake_clock_;
  settings_.idle_timeout = absl::Seconds(100);
  settings_.min_data_rate = 0;
  Begin();
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  for (int i = 0; i < 15; ++i) {
    fake_clock_.Advance(absl::Seconds(90));
    Send("x");
    context_.poll();
  }
  EXPECT_EQ(Ask("\r\n.\r\n").substr(0, 3), "554") << "no header, but read to its end";
}

TEST_F(SmtpConnectionTest, CrowdedServerHasLittlePatience) {
  clock_ = &fake_clock_;
  Connect();
  Reply();
  fake_clock_.Advance(absl::Minutes(4));
  Send("NO");
  context_.poll();
  for (int i = 1; i <= 3; ++i) {
    const address::IpAddress other = *address::IpAddress::Parse(absl::StrCat("192.0.2.", i));
    EXPECT_EQ(admission_.Enter(other, fake_clock_.Now()), std::nullopt);
  }
  Send("OP");
  EXPECT_EQ(Reply().substr(0, 9), "421 4.4.2");
}

TEST_F(SmtpConnectionTest, CrowdedServerServesTheQuick) {
  clock_ = &fake_clock_;
  for (int i = 1; i <= 3; ++i) {
    const address::IpAddress other = *address::IpAddress::Parse(absl::StrCat("192.0.2.", i));
    EXPECT_EQ(admission_.Enter(other, fake_clock_.Now()), std::nullopt);
  }
  Connect();
  Reply();
  for (int i = 0; i < 5; ++i) {
    fake_clock_.Advance(absl::Seconds(9));
    EXPECT_EQ(Ask("NOOP\r\n").substr(0, 3), "250");
  }
}

// ---- Stop ----

TEST_F(SmtpConnectionTest, DrainSendsAnIdleSessionAwayAtOnce) {
  Connect();
  Reply();
  context_.poll();
  drain_.Begin(absl::Now() + kLimit);
  tasks_.Cancel();
  EXPECT_EQ(Reply().substr(0, 9), "421 4.3.2");
  EXPECT_EQ(Reply(), "<OUT_OF_RANGE>");
}

TEST_F(SmtpConnectionTest, DrainLetsATransactionFinish) {
  Begin();
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  context_.poll();
  drain_.Begin(absl::Now() + kLimit);
  tasks_.Cancel();
  context_.poll();
  EXPECT_EQ(Ask(kMessage).substr(0, 3), "250");
  EXPECT_EQ(Reply().substr(0, 9), "421 4.3.2");
  EXPECT_EQ(Reply(), "<OUT_OF_RANGE>");
  EXPECT_EQ(acceptor_.mails.size(), 1u);
}

TEST_F(SmtpConnectionTest, DrainWaitsForACommitAndAnswersIt) {
  Begin();
  acceptor_.hold = true;
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  Send(kMessage);
  while (acceptor_.held.empty()) context_.poll();
  drain_.Begin(absl::Now() + kLimit);
  tasks_.Cancel();
  context_.poll();
  acceptor_.held[0]();
  EXPECT_EQ(Reply().substr(0, 3), "250");
  EXPECT_EQ(Reply().substr(0, 9), "421 4.3.2");
}

TEST_F(SmtpConnectionTest, DrainEndsAStuckTransaction) {
  Begin();
  EXPECT_EQ(Ask("DATA\r\n").substr(0, 3), "354");
  context_.poll();
  drain_.Begin(absl::Now() + absl::Milliseconds(50));
  tasks_.Cancel();
  EXPECT_EQ(Reply().substr(0, 9), "421 4.3.2");
}

}  // namespace
}  // namespace hikyaku::submission
