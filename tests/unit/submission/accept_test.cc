#include "lib/submission/accept.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/submission/failure.h"
#include "tests/unit/submission/fake_shard.h"

namespace hikyaku::submission {
namespace {

using absl::StatusCode;

// Shards q0..qn-1, and domains by the order in which they spill.
class AcceptTest : public testing::Test {
 protected:
  void Build(int shards) {
    for (int i = 0; i < shards; ++i) shards_.push_back(std::make_unique<FakeShard>(absl::StrCat("q", i)));
    std::vector<queue::Shard*> raw;
    for (auto& shard : shards_) raw.push_back(shard.get());
    cluster_ = std::make_unique<Cluster>(raw);
    acceptor_ = std::make_unique<ShardAcceptor>(cluster_.get(), &clock_);
  }

  // The n-th domain whose order begins with these shards.
  std::string DomainOf(std::vector<std::size_t> begin, int n = 0) const {
    for (int i = 0;; ++i) {
      const std::string domain = absl::StrCat("d", i, ".test");
      auto order = cluster_->map().Order(domain);
      order.resize(begin.size());
      if (order == begin && n-- == 0) return domain;
    }
  }

  std::string KeyOf(std::size_t home) const {
    for (int i = 0;; ++i) {
      const std::string key = absl::StrCat("key", i);
      if (cluster_->map().Owner(absl::StrCat("default", std::string(1, '\0'), key)) == home) return key;
    }
  }

  Mail MailTo(const std::vector<std::string>& domains) {
    Mail mail;
    mail.id = MessageId::Generate(clock_.Now());
    mail.sender = *address::ParseAddress("alice@ours.test");
    for (const std::string& domain : domains) {
      mail.recipients.push_back(*address::ParseAddress(absl::StrCat("r@", domain)));
    }
    mail.message.bytes = "From: alice@ours.test\r\n\r\nbody\r\n";
    mail.message.message_id_header = "first@h";
    return mail;
  }

  Keyed KeyedWith(const std::string& key, const std::string& fingerprint = "print") {
    Keyed keyed;
    keyed.key = key;
    keyed.fingerprint = fingerprint;
    keyed.response.add_recipients()->set_accepted(true);
    keyed.rebuild = [this](const MessageId& id) -> absl::StatusOr<Assembled> {
      ++rebuilt_;
      return Assembled{"rebuilt", absl::StrCat(id.text(), "@h"), false, false};
    };
    return keyed;
  }

  absl::StatusOr<Accepted> Accept(Mail mail, std::optional<Keyed> keyed = std::nullopt) {
    std::optional<absl::StatusOr<Accepted>> result;
    acceptor_->Accept(std::move(mail), std::move(keyed), [&result](absl::StatusOr<Accepted> r) {
      EXPECT_FALSE(result.has_value());
      result = std::move(r);
    });
    EXPECT_TRUE(result.has_value());
    return *result;
  }

  // How many deliveries of the message exist, over all shards, by domain.
  std::map<std::string, int> DeliveriesOf(const MessageId& id) {
    std::map<std::string, int> all;
    for (const auto& shard : shards_) {
      for (const auto& [domain, count] : shard->DeliveriesOf(std::string(id.bytes()))) all[domain] += count;
    }
    return all;
  }

  std::size_t Written() const {
    std::size_t count = 0;
    for (const auto& shard : shards_) count += shard->written.size();
    return count;
  }

  FakeShard& shard(int i) { return *shards_[i]; }

  FakeClock clock_;
  std::vector<std::unique_ptr<FakeShard>> shards_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<ShardAcceptor> acceptor_;
  int rebuilt_ = 0;
};

const absl::Status kDown = absl::UnavailableError("down");
const absl::Status kFull = absl::ResourceExhaustedError("disk");

TEST_F(AcceptTest, OneShardGetsEnvelopeAndBody) {
  Build(1);
  Mail mail = MailTo({"a.test", "b.test"});
  mail.tags = {"t"};
  mail.not_before = clock_.Now() + absl::Hours(1);
  const auto accepted = Accept(mail);
  ASSERT_TRUE(accepted.ok()) << accepted.status();
  ASSERT_EQ(shard(0).written.size(), 1u);
  const auto& request = shard(0).written[0];
  EXPECT_EQ(request.body(), mail.message.bytes);
  EXPECT_EQ(request.envelope().size(), mail.message.bytes.size());
  EXPECT_EQ(request.envelope().sender(), "alice@ours.test");
  EXPECT_EQ(request.envelope().tags(0), "t");
  EXPECT_EQ(request.due_micros(), absl::ToUnixMicros(mail.not_before));
  EXPECT_EQ(request.envelope().expire_micros(), 0);
  EXPECT_EQ(request.destinations_size(), 2);
}

TEST_F(AcceptTest, DeliverByEndsTheLifetime) {
  Build(1);
  Mail mail = MailTo({"a.test"});
  mail.deliver_by = clock_.Now() + absl::Minutes(1);
  ASSERT_TRUE(Accept(mail).ok());
  EXPECT_EQ(shard(0).written[0].envelope().expire_micros(), absl::ToUnixMicros(mail.deliver_by));
}

TEST_F(AcceptTest, UnicodeRecipientAsksSmtpUtf8OfNoOther) {
  Build(1);
  Mail mail = MailTo({"a.test"});
  mail.recipients.push_back(*address::ParseAddress("\u00fc@b.test"));
  ASSERT_TRUE(Accept(mail).ok());
  EXPECT_FALSE(shard(0).written[0].envelope().smtputf8());
  EXPECT_EQ(shard(0).written[0].destinations(1).recipients(0), "\u00fc@b.test");
}

TEST_F(AcceptTest, UnicodeSenderOrHeaderNeedsSmtpUtf8) {
  Build(1);
  Mail by_sender = MailTo({"a.test"});
  by_sender.sender = *address::ParseAddress("\u00fc@ours.test");
  ASSERT_TRUE(Accept(by_sender).ok());
  EXPECT_TRUE(shard(0).written[0].envelope().smtputf8());
  Mail by_header = MailTo({"a.test"});
  by_header.message.smtputf8 = true;
  ASSERT_TRUE(Accept(by_header).ok());
  EXPECT_TRUE(shard(0).written[1].envelope().smtputf8());
}

TEST_F(AcceptTest, RequireTlsGoesBeforeTheHeadersWord) {
  Build(1);
  for (const bool required : {false, true}) {
    Mail mail = MailTo({"a.test"});
    mail.require_tls = required;
    mail.message.waives_tls = true;
    ASSERT_TRUE(Accept(mail).ok());
    const auto& envelope = shard(0).written.back().envelope();
    EXPECT_EQ(envelope.require_tls(), required);
    EXPECT_EQ(envelope.tls_optional(), !required);
  }
}

TEST_F(AcceptTest, EachShardGetsItsDomains) {
  Build(2);
  const std::string a = DomainOf({0}), b = DomainOf({1}), c = DomainOf({1}, 1);
  const auto accepted = Accept(MailTo({a, b, c}));
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(shard(0).DeliveriesOf(std::string(accepted->id.bytes())), (std::map<std::string, int>{{a, 1}}));
  EXPECT_EQ(shard(1).DeliveriesOf(std::string(accepted->id.bytes())), (std::map<std::string, int>{{b, 1}, {c, 1}}));
  EXPECT_FALSE(shard(0).written[0].has_idempotency());
}

TEST_F(AcceptTest, NoAnswerBeforeTheLastShardHasSynced) {
  Build(2);
  bool answered = false;
  shard(1).Hold();
  acceptor_->Accept(MailTo({DomainOf({0}), DomainOf({1})}), std::nullopt, [&answered](absl::StatusOr<Accepted> result) {
    EXPECT_TRUE(result.ok());
    answered = true;
  });
  EXPECT_FALSE(answered);
  shard(1).Release();
  EXPECT_TRUE(answered);
}

TEST_F(AcceptTest, SpillsToTheNextOfEachDomain) {
  Build(3);
  shard(0).FailWith(kDown);
  const std::string to1 = DomainOf({0, 1}), to2 = DomainOf({0, 2});
  const auto accepted = Accept(MailTo({to1, to2}));
  ASSERT_TRUE(accepted.ok()) << accepted.status();
  EXPECT_EQ(shard(1).DeliveriesOf(std::string(accepted->id.bytes())).count(to1), 1u);
  EXPECT_EQ(shard(2).DeliveriesOf(std::string(accepted->id.bytes())).count(to2), 1u);
  EXPECT_EQ(DeliveriesOf(accepted->id).size(), 2u);
}

TEST_F(AcceptTest, SpillsOntoAShardThatHasAPartAlready) {
  Build(2);
  shard(1).FailWith(kDown);
  const std::string a = DomainOf({0}), b = DomainOf({1});
  const auto accepted = Accept(MailTo({a, b}));
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(shard(0).written.size(), 2u);
  EXPECT_EQ(DeliveriesOf(accepted->id), (std::map<std::string, int>{{a, 1}, {b, 1}}));
}

TEST_F(AcceptTest, AllDownIsUnavailableWithARetryTime) {
  Build(3);
  for (int i = 0; i < 3; ++i) shard(i).FailWith(kDown);
  const auto accepted = Accept(MailTo({"a.test", "b.test", "c.test"}));
  EXPECT_EQ(accepted.status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(RetryAfterOf(accepted.status()).has_value());
}

TEST_F(AcceptTest, FullShardOfAWholeMessageIsToldAndNotSpilled) {
  Build(2);
  shard(0).FailWith(kFull);
  const auto accepted = Accept(MailTo({DomainOf({0})}));
  EXPECT_EQ(accepted.status().code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfterOf(accepted.status()).has_value());
  EXPECT_EQ(Written(), 0u);
}

TEST_F(AcceptTest, FullShardOfAPartIsSpilled) {
  Build(2);
  shard(0).FailWith(kFull);
  const auto accepted = Accept(MailTo({DomainOf({0}), DomainOf({1})}));
  ASSERT_TRUE(accepted.ok());
  EXPECT_EQ(DeliveriesOf(accepted->id).size(), 2u);
}

TEST_F(AcceptTest, LostReplyIsDeadlineExceededAndNotRepeatedElsewhere) {
  Build(2);
  shard(0).LoseNextReply(absl::DeadlineExceededError("silent"));
  const Mail mail = MailTo({DomainOf({0})});
  EXPECT_EQ(Accept(mail).status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Written(), 1u);
}

TEST_F(AcceptTest, OwnFaultIsInternal) {
  Build(1);
  shard(0).FailWith(absl::InvalidArgumentError("format"));
  EXPECT_EQ(Accept(MailTo({"a.test"})).status().code(), StatusCode::kInternal);
}

// ---- Idempotency ----

TEST_F(AcceptTest, KeyAtOneShardIsOneCommit) {
  Build(2);
  const std::string key = KeyOf(0), domain = DomainOf({0});
  const auto first = Accept(MailTo({domain}), KeyedWith(key));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(shard(0).claims, 0);
  const auto again = Accept(MailTo({domain}), KeyedWith(key));
  ASSERT_TRUE(again.ok());
  ASSERT_TRUE(again->replayed.has_value());
  EXPECT_TRUE(again->replayed->replayed());
  EXPECT_EQ(again->replayed->message_id(), first->id.text());
  EXPECT_EQ(again->replayed->message_id_header(), "first@h");
  EXPECT_EQ(again->replayed->recipients_size(), 1);
  EXPECT_EQ(Written(), 1u);
}

TEST_F(AcceptTest, KeyWithOtherContentIsAlreadyExists) {
  Build(2);
  for (const std::string& domain : {DomainOf({0}), DomainOf({1})}) {
    const std::string key = absl::StrCat(KeyOf(0));
    ASSERT_TRUE(Accept(MailTo({domain}), KeyedWith(key + domain)).ok());
    EXPECT_EQ(Accept(MailTo({domain}), KeyedWith(key + domain, "other")).status().code(), StatusCode::kAlreadyExists);
  }
}

// Its time is over: only the answer of an earlier call is given, and a key that is new stays free.
TEST_F(AcceptTest, KeyedAfterDeliverByIsReplayedOrRefused) {
  Build(2);
  const std::string a = DomainOf({0}), b = DomainOf({1});
  for (const std::vector<std::string>& domains : {std::vector{a}, std::vector{b}, std::vector{a, b}}) {
    const std::string key = absl::StrCat(KeyOf(0), "/", domains.front(), domains.size());
    const auto mail = [&] {
      Mail mail = MailTo(domains);
      mail.deliver_by = clock_.Now() + absl::Hours(1);
      return mail;
    };
    const Mail first = mail();
    const Mail late = mail();
    const Mail again = mail();
    clock_.Advance(absl::Hours(2));
    const auto refused = Accept(first, KeyedWith(key));
    ASSERT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldsOf(refused.status()).at(0).path, "deliver_by");
    EXPECT_TRUE(DeliveriesOf(first.id).empty());

    const auto accepted = Accept(mail(), KeyedWith(key, "corrected"));
    ASSERT_TRUE(accepted.ok()) << accepted.status();
    const auto replayed = Accept(again, KeyedWith(key, "corrected"));
    ASSERT_TRUE(replayed.ok()) << replayed.status();
    ASSERT_TRUE(replayed->replayed.has_value());
    EXPECT_EQ(replayed->id.text(), accepted->id.text());
    EXPECT_EQ(Accept(late, KeyedWith(key)).status().code(), StatusCode::kAlreadyExists);
  }
}

// A part was queued in time: the repeat finishes what was begun, and the queue lets it expire.
TEST_F(AcceptTest, KeyedAfterDeliverByFinishesAHalfDoneTry) {
  Build(2);
  const std::string a = DomainOf({0}), b = DomainOf({1}), key = KeyOf(0);
  Mail mail = MailTo({a, b});
  mail.deliver_by = clock_.Now() + absl::Hours(1);
  shard(1).LoseNextReply(absl::DeadlineExceededError("lost"));
  EXPECT_FALSE(Accept(mail, KeyedWith(key)).ok());
  clock_.Advance(absl::Hours(2));
  const MessageId first = mail.id;
  mail.id = MessageId::Generate(clock_.Now());
  const auto again = Accept(mail, KeyedWith(key));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id, first);
  EXPECT_EQ(DeliveriesOf(first), (std::map<std::string, int>{{a, 1}, {b, 1}}));
}

TEST_F(AcceptTest, KeysOfTwoTenantsAreTwo) {
  Build(1);
  Mail other = MailTo({"a.test"});
  other.tenant = "other";
  ASSERT_TRUE(Accept(MailTo({"a.test"}), KeyedWith("k")).ok());
  EXPECT_FALSE(Accept(other, KeyedWith("k", "another print"))->replayed.has_value());
}

TEST_F(AcceptTest, KeyOverTwoShardsIsClaimedThenFinishedAtHome) {
  Build(2);
  const std::string a = DomainOf({0}), b = DomainOf({1});
  const auto first = Accept(MailTo({a, b}), KeyedWith(KeyOf(0)));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(shard(0).claims, 1);
  EXPECT_EQ(DeliveriesOf(first->id), (std::map<std::string, int>{{a, 1}, {b, 1}}));
  const auto again = Accept(MailTo({a, b}), KeyedWith(KeyOf(0)));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->replayed->message_id(), first->id.text());
  EXPECT_EQ(Written(), 2u);
}

TEST_F(AcceptTest, HomeWithoutADestinationKeepsTheAnswer) {
  Build(2);
  const std::string b = DomainOf({1});
  ASSERT_TRUE(Accept(MailTo({b}), KeyedWith(KeyOf(0))).ok());
  EXPECT_TRUE(shard(0).written.empty());
  EXPECT_TRUE(Accept(MailTo({b}), KeyedWith(KeyOf(0)))->replayed.has_value());
  EXPECT_EQ(Written(), 1u);
}

TEST_F(AcceptTest, KeyedIsUnavailableWhileItsHomeIsDown) {
  Build(2);
  shard(0).FailWith(kDown);
  for (const std::string& domain : {DomainOf({0}), DomainOf({1})}) {
    EXPECT_EQ(Accept(MailTo({domain}), KeyedWith(KeyOf(0))).status().code(), StatusCode::kUnavailable);
  }
  EXPECT_EQ(Written(), 0u);
}

// A try that stopped between its parts and its end: the repeat adds only what is missing, under the first id.
TEST_F(AcceptTest, RepeatAfterAHalfDoneTryLandsOnWhatIsThere) {
  Build(3);
  const std::string a = DomainOf({0}), b = DomainOf({1}), c = DomainOf({2});
  const std::string key = KeyOf(0);
  shard(1).LoseNextReply(absl::DeadlineExceededError("silent"));  // Written.
  shard(2).FailWith(absl::DeadlineExceededError("silent"));       // Not written.
  const Mail first = MailTo({a, b, c});
  EXPECT_EQ(Accept(first, KeyedWith(key)).status().code(), StatusCode::kDeadlineExceeded);
  shard(2).FailWith(absl::OkStatus());
  const auto done = Accept(MailTo({a, b, c}), KeyedWith(key));
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_FALSE(done->replayed.has_value());
  EXPECT_EQ(done->id, first.id);
  EXPECT_EQ(DeliveriesOf(done->id), (std::map<std::string, int>{{a, 1}, {b, 1}, {c, 1}}));
  EXPECT_EQ(Written(), 3u);
  EXPECT_EQ(rebuilt_, 1);
}

TEST_F(AcceptTest, RepeatFindsAPartThatSpilled) {
  Build(3);
  const std::string a = DomainOf({0}), b = DomainOf({1, 2});
  const std::string key = KeyOf(0);
  shard(1).FailWith(kDown);
  shard(2).LoseNextReply(absl::DeadlineExceededError("silent"));
  EXPECT_EQ(Accept(MailTo({a, b}), KeyedWith(key)).status().code(), StatusCode::kDeadlineExceeded);
  shard(1).FailWith(absl::OkStatus());  // b's owner is back, but b is at q2.
  const auto done = Accept(MailTo({a, b}), KeyedWith(key));
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(DeliveriesOf(done->id), (std::map<std::string, int>{{a, 1}, {b, 1}}));
}

TEST_F(AcceptTest, LostReplyOfTheHomeIsReplayed) {
  Build(2);
  const std::string a = DomainOf({0}), b = DomainOf({1});
  shard(0).LoseNextReply(absl::DeadlineExceededError("silent"));
  const Mail first = MailTo({a, b});
  EXPECT_EQ(Accept(first, KeyedWith(KeyOf(0))).status().code(), StatusCode::kDeadlineExceeded);
  const auto again = Accept(MailTo({a, b}), KeyedWith(KeyOf(0)));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->replayed->message_id(), first.id.text());
  EXPECT_EQ(Written(), 2u);
}

// Two front-ends with one request at the same time: the second claims while the first has not finished.
TEST_F(AcceptTest, TwinsMakeOneMessage) {
  Build(2);
  const std::string a = DomainOf({0}), b = DomainOf({1});
  shard(1).Hold();
  std::vector<absl::StatusOr<Accepted>> results;
  for (int i = 0; i < 2; ++i) {
    acceptor_->Accept(MailTo({a, b}), KeyedWith(KeyOf(0)),
                      [&results](absl::StatusOr<Accepted> result) { results.push_back(std::move(result)); });
  }
  shard(1).Release();
  ASSERT_EQ(results.size(), 2u);
  ASSERT_TRUE(results[0].ok() && results[1].ok());
  EXPECT_EQ(results[0]->id, results[1]->id);
  EXPECT_EQ(DeliveriesOf(results[0]->id), (std::map<std::string, int>{{a, 1}, {b, 1}}));
}

TEST_F(AcceptTest, RepeatWaitsForAShardThatMayHoldAPart) {
  Build(3);
  const std::string a = DomainOf({0}), b = DomainOf({1, 2});
  shard(1).LoseNextReply(absl::DeadlineExceededError("silent"));
  EXPECT_FALSE(Accept(MailTo({a, b}), KeyedWith(KeyOf(0))).ok());
  shard(1).FailWith(kDown);
  EXPECT_EQ(Accept(MailTo({a, b}), KeyedWith(KeyOf(0))).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Written(), 1u);
}

// The first try saw two shards, the second sees its domains at home: ABORTED leads to the claim.
TEST_F(AcceptTest, ReservedKeyOnTheFastPathIsClaimed) {
  Build(1);
  internal::v1::ClaimRequest claim;
  claim.set_key(absl::StrCat("default", std::string(1, '\0'), "k"));
  claim.set_fingerprint("print");
  const MessageId reserved = MessageId::Generate(clock_.Now());
  claim.set_message_id(std::string(reserved.bytes()));
  claim.set_expire_micros(absl::ToUnixMicros(clock_.Now() + absl::Hours(24)));
  shard(0).Claim(claim, [](auto) {});
  const auto accepted = Accept(MailTo({"a.test"}), KeyedWith("k"));
  ASSERT_TRUE(accepted.ok()) << accepted.status();
  EXPECT_EQ(accepted->id, reserved);
  EXPECT_EQ(accepted->message_id_header, absl::StrCat(reserved.text(), "@h"));
  EXPECT_EQ(shard(0).written.at(0).body(), "rebuilt");
}

TEST_F(AcceptTest, LoadIsRefusedWhileTooManyWaitTooLong) {
  Build(1);
  shard(0).Hold();
  for (std::int64_t i = 0; i <= CommitDelay::kFew; ++i) {
    acceptor_->Accept(MailTo({"a.test"}), std::nullopt, [](absl::StatusOr<Accepted> r) { EXPECT_TRUE(r.ok()); });
  }
  EXPECT_TRUE(acceptor_->CheckLoad().ok());
  clock_.Advance(CommitDelay::kSlow + absl::Milliseconds(1));
  const absl::Status busy = acceptor_->CheckLoad();
  EXPECT_EQ(busy.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(RetryAfterOf(busy).has_value());
  shard(0).Release();
  EXPECT_TRUE(acceptor_->CheckLoad().ok());
}

TEST_F(AcceptTest, NotReadyOnlyWhenNoShardIs) {
  Build(2);
  shard(0).not_ready = "disk";
  EXPECT_EQ(acceptor_->NotReady(), "");
  shard(1).not_ready = "disk";
  EXPECT_EQ(acceptor_->NotReady(), "q0: disk");
}

}  // namespace
}  // namespace hikyaku::submission
