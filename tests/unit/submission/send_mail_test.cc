#include "lib/submission/send_mail.h"

#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "lib/submission/failure.h"
#include "tests/unit/submission/fake_acceptor.h"

namespace hikyaku::submission {
namespace {

using absl::StatusCode;

class SendMailTest : public testing::Test {
 protected:
  SendMailTest() {
    v1::Content& content = *request_.mutable_content();
    content.mutable_from()->set_address("alice@ours.test");
    content.add_to()->set_address("r@ok.test");
    content.set_subject("Hello");
    content.set_text("Hi\n");
  }

  absl::StatusOr<v1::SendMailResponse> Send() {
    sent_ = request_;
    result_.reset();
    sender_.Send(
        &sent_, [this] { return still_wanted_; },
        [this](absl::StatusOr<v1::SendMailResponse> r) { result_ = std::move(r); });
    return result_.has_value() ? *result_ : absl::UnknownError("no answer");
  }

  static AssembleOptions Options() {
    AssembleOptions options;
    options.hostname = "mail.example.jp";
    return options;
  }

  v1::SendMailRequest request_;
  v1::SendMailRequest sent_;  // What is left of it after Send.
  absl::Status still_wanted_;
  FakeAcceptor acceptor_;
  LiteralPolicy policy_;
  MemoryBudget budget_{1 << 20};
  FakeClock clock_;
  MailSender sender_{{&acceptor_, &policy_, &budget_, &clock_}, RequestLimits(), Options()};
  std::optional<absl::StatusOr<v1::SendMailResponse>> result_;  // Of the last Send.
};

TEST_F(SendMailTest, AnswersWithIdAndRecipients) {
  request_.mutable_content()->add_cc()->set_address("R@ok.test");
  request_.mutable_content()->add_bcc()->set_address("r@OK.test");
  const auto response = Send();
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->message_id(), acceptor_.mails.at(0).id.text());
  EXPECT_EQ(response->message_id_header(), response->message_id() + "@mail.example.jp");
  ASSERT_EQ(response->recipients_size(), 3);
  EXPECT_EQ(response->recipients(2).address(), "r@OK.test");
  EXPECT_TRUE(response->recipients(2).accepted());
  EXPECT_EQ(acceptor_.mails[0].recipients.size(), 2u);
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(SendMailTest, RefusedRecipientIsAnAnswerWhileOthersAreTaken) {
  request_.mutable_content()->add_to()->set_address("u@[127.0.0.1]");
  const auto response = Send();
  ASSERT_TRUE(response.ok());
  EXPECT_FALSE(response->recipients(1).accepted());
  EXPECT_TRUE(absl::StartsWith(response->recipients(1).reason(), "5.1.2 "));
  EXPECT_EQ(acceptor_.mails[0].recipients.size(), 1u);
}

TEST_F(SendMailTest, NoRecipientTakenIsInvalid) {
  request_.mutable_content()->mutable_to(0)->set_address("u@[IPv6:::1]");
  const auto response = Send();
  ASSERT_EQ(response.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldsOf(response.status()).at(0).path, "content.to[0].address");
  EXPECT_TRUE(acceptor_.mails.empty());
}

TEST_F(SendMailTest, OpenedLiteralIsTaken) {
  policy_ = LiteralPolicy({*address::Cidr::Parse("127.0.0.0/8")}, {"[192.0.2.9]"});
  request_.mutable_content()->mutable_to(0)->set_address("u@[127.0.0.1]");
  EXPECT_TRUE(Send().ok());
  request_.mutable_content()->mutable_to(0)->set_address("u@[192.0.2.9]");
  EXPECT_TRUE(Send().ok());
  request_.mutable_content()->mutable_to(0)->set_address("u@[192.0.2.8]");
  EXPECT_FALSE(Send().ok());
}

TEST_F(SendMailTest, DryRunQueuesNothing) {
  request_.set_dry_run(true);
  const auto response = Send();
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->message_id().size(), 26u);
  EXPECT_TRUE(acceptor_.mails.empty());
}

TEST_F(SendMailTest, RequestIsFreedOnceTheMessageIsMade) {
  const std::string text = std::string(100'000, 'a') + "\n";
  request_.mutable_content()->set_text(text);
  acceptor_.hold = true;
  EXPECT_EQ(Send().status().code(), StatusCode::kUnknown);
  EXPECT_EQ(sent_.ByteSizeLong(), 0u);
  EXPECT_GE(budget_.used(), text.size());
  EXPECT_LT(budget_.used(), 2 * text.size());
  acceptor_.held.at(0)();
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(SendMailTest, RequestWithAKeyIsKeptSinceItMayBeMadeAnew) {
  request_.set_idempotency_key("k");
  acceptor_.hold = true;
  EXPECT_EQ(Send().status().code(), StatusCode::kUnknown);
  EXPECT_EQ(sent_.ByteSizeLong(), request_.ByteSizeLong());
  EXPECT_GT(budget_.used(), request_.ByteSizeLong());
  EXPECT_TRUE(acceptor_.keys.at(0)->rebuild(MessageId::Generate(clock_.Now())).ok());
  acceptor_.held.at(0)();
}

TEST_F(SendMailTest, KeyCarriesTheAnswerAndCanRebuild) {
  request_.set_idempotency_key("k");
  ASSERT_TRUE(Send().ok());
  const Keyed& keyed = *acceptor_.keys.at(0);
  EXPECT_EQ(keyed.key, "k");
  EXPECT_EQ(keyed.fingerprint.size(), 32u);
  EXPECT_EQ(keyed.response.recipients_size(), 1);
}

TEST_F(SendMailTest, AcceptorsErrorIsTheAnswer) {
  acceptor_.answer = absl::AlreadyExistsError("key");
  EXPECT_EQ(Send().status().code(), StatusCode::kAlreadyExists);
}

TEST_F(SendMailTest, NoMemoryIsResourceExhaustedWithARetryTime) {
  request_.mutable_content()->set_text(std::string(2 << 20, 'a'));
  const auto response = Send();
  EXPECT_EQ(response.status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfterOf(response.status()).has_value());
}

TEST_F(SendMailTest, TooMuchLoadIsTheAnswerBeforeTheRequestIsRead) {
  request_.clear_content();  // Would be invalid.
  acceptor_.load = WithRetryAfter(absl::ResourceExhaustedError("busy"), absl::Seconds(1));
  EXPECT_EQ(Send().status(), acceptor_.load);
  EXPECT_TRUE(acceptor_.mails.empty());
}

TEST_F(SendMailTest, NobodyWaitsSoNothingIsQueued) {
  for (const absl::Status& why : {absl::DeadlineExceededError("late"), absl::CancelledError("gone")}) {
    still_wanted_ = why;
    EXPECT_EQ(Send().status(), why);
    EXPECT_TRUE(acceptor_.mails.empty());
    EXPECT_EQ(budget_.used(), 0u);
  }
}

TEST_F(SendMailTest, BytesCountUntilTheAnswer) {
  acceptor_.hold = true;
  EXPECT_EQ(Send().status().code(), StatusCode::kUnknown);
  EXPECT_GT(budget_.used(), 0u);
  acceptor_.held.clear();
}

TEST(MemoryBudget, SharesAreGivenBack) {
  MemoryBudget budget(100);
  {
    MemoryBudget::Hold hold = budget.Open();
    EXPECT_TRUE(hold.RaiseTo(60));
    EXPECT_TRUE(hold.RaiseTo(10));
    EXPECT_EQ(budget.used(), 60u);
    MemoryBudget::Hold other = budget.Open();
    EXPECT_FALSE(other.RaiseTo(41));
    EXPECT_TRUE(other.RaiseTo(40));
    MemoryBudget::Hold moved = std::move(other);
    EXPECT_EQ(budget.used(), 100u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace hikyaku::submission
