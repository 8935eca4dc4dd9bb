// One key, one message: the rules of IdempotencyCommit (proto/hikyaku/internal/v1/queue.proto).
#include "lib/queue/rocks_store.h"
#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

class IdempotencyTest : public ShardTest {
 protected:
  IdempotencyTest() { Open(); }

  EnqueueRequest Keyed(const std::string& key, const std::string& fingerprint, const std::string& response) {
    EnqueueRequest request = Mail({"a@x.test"});
    request.mutable_idempotency()->set_key(key);
    request.mutable_idempotency()->set_fingerprint(fingerprint);
    request.mutable_idempotency()->set_response(response);
    request.mutable_idempotency()->set_expire_micros(Now() + 86'400'000'000);
    return request;
  }
  absl::StatusOr<internal::v1::ClaimResponse> Claim(const std::string& key, const std::string& fingerprint,
                                                    const std::string& id) {
    internal::v1::ClaimRequest request;
    request.set_key(key);
    request.set_fingerprint(fingerprint);
    request.set_message_id(id);
    request.set_expire_micros(Now() + 86'400'000'000);
    return Await<internal::v1::ClaimResponse>(
        [&](Done<internal::v1::ClaimResponse> done) { shard_->Claim(request, std::move(done)); });
  }
  // Claims keys from..to without waiting for each; then waits for all.
  void ClaimMany(int from, int to) {
    std::atomic<int> done{0};
    for (int i = from; i < to; ++i) {
      internal::v1::ClaimRequest request;
      request.set_key(absl::StrCat("key", i));
      request.set_fingerprint("f");
      request.set_message_id(std::string(16, 'i'));
      request.set_expire_micros(Now() + 86'400'000'000);
      shard_->Claim(request, [&](absl::StatusOr<internal::v1::ClaimResponse> answer) {
        EXPECT_TRUE(answer.ok()) << answer.status();
        ++done;
      });
    }
    ASSERT_TRUE(Eventually([&] { return done == to - from; }));
  }
};

// The store behind the shard, to look into.
class RetentionTest : public IdempotencyTest {
 protected:
  RetentionTest() {
    shard_ = nullptr;
    options_.open_store = [this](const std::string& dir) -> absl::StatusOr<std::unique_ptr<Store>> {
      auto store = OpenRocksStore({dir, 1 << 20, 8 << 20, false});
      if (store.ok()) store_ = store->get();
      return store;
    };
    Open();
  }
  int Records() {
    const auto cursor = store_->Scan(Family::kIdempotency, "", "");
    int count = 0;
    for (; cursor->Valid(); cursor->Next()) ++count;
    return count;
  }

  Store* store_ = nullptr;
};

TEST_F(RetentionTest, OneRoundRemovesAllThatIsOverAndNothingElse) {
  constexpr int kOld = 4500, kNew = 700;
  ClaimMany(0, kOld);
  clock_.Advance(absl::Hours(23));
  ClaimMany(kOld, kOld + kNew);
  ASSERT_EQ(Records(), kOld + kNew);
  clock_.Advance(absl::Hours(2));
  // The clock stands, so this is one round: the next would come ten minutes later.
  EXPECT_TRUE(Eventually([&] { return Records() == kNew; })) << Records();
  EXPECT_EQ(Claim("key4600", "g", std::string(16, 'j')).status().code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(IdempotencyTest, RepeatGetsTheSameAnswerAndMakesNothing) {
  EXPECT_EQ(Enqueue(Keyed("k", "f", "first"))->replayed_response(), "");
  EXPECT_EQ(Enqueue(Keyed("k", "f", "second"))->replayed_response(), "first");
  EXPECT_EQ(Check().deliveries(), 1);
  Reopen();
  EXPECT_EQ(Enqueue(Keyed("k", "f", "third"))->replayed_response(), "first");
  EXPECT_EQ(Check().deliveries(), 1);
  ExpectSound();
}

TEST_F(IdempotencyTest, OtherContentIsRefused) {
  Enqueue(Keyed("k", "f", "r")).IgnoreError();
  EXPECT_TRUE(absl::IsAlreadyExists(Enqueue(Keyed("k", "g", "r")).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(Claim("k", "g", std::string(16, 'i')).status()));
}

TEST_F(IdempotencyTest, OfConcurrentRepeatsOneWins) {
  constexpr int kCalls = 200;
  std::atomic<int> done{0}, fresh{0};
  for (int i = 0; i < kCalls; ++i) {
    shard_->Enqueue(Keyed("k", "f", absl::StrCat("r", i)), [&](absl::StatusOr<EnqueueResponse> answer) {
      EXPECT_TRUE(answer.ok());
      fresh += answer->replayed_response().empty();
      ++done;
    });
  }
  ASSERT_TRUE(Eventually([&] { return done == kCalls; }));
  EXPECT_EQ(fresh, 1);
  EXPECT_EQ(Check().deliveries(), 1);
}

TEST_F(IdempotencyTest, KeyIsFreeAfterItsTime) {
  Enqueue(Keyed("k", "f", "first")).IgnoreError();
  clock_.Advance(absl::Hours(25));
  EXPECT_EQ(Enqueue(Keyed("k", "other", "second"))->replayed_response(), "");
  EXPECT_EQ(Check().deliveries(), 2);
}

TEST_F(IdempotencyTest, ClaimReservesAnIdAcrossRestarts) {
  const std::string id(16, 'i');
  EXPECT_EQ(Claim("k", "f", id)->message_id(), id);
  Reopen();
  EXPECT_EQ(Claim("k", "f", std::string(16, 'j'))->message_id(), id);
  EnqueueRequest other = Keyed("k", "f", "r");
  EXPECT_TRUE(absl::IsAborted(Enqueue(other).status()));
  EnqueueRequest mine = Keyed("k", "f", "r");
  mine.mutable_envelope()->set_message_id(id);
  EXPECT_EQ(Enqueue(mine)->replayed_response(), "");
  EXPECT_EQ(Claim("k", "f", std::string(16, 'j'))->replayed_response(), "r");
  EXPECT_EQ(Enqueue(mine)->replayed_response(), "r");
  EXPECT_EQ(Check().deliveries(), 1);
  ExpectSound();
}

TEST_F(IdempotencyTest, KeyCanBeFinishedWithoutDestinations) {
  const std::string id(16, 'i');
  ASSERT_TRUE(Claim("k", "f", id).ok());
  EnqueueRequest finish = Keyed("k", "f", "r");
  finish.mutable_envelope()->set_message_id(id);
  finish.clear_destinations();
  finish.clear_body();
  EXPECT_TRUE(Enqueue(finish).ok());
  EXPECT_EQ(Claim("k", "f", id)->replayed_response(), "r");
  EXPECT_EQ(Check().deliveries(), 0);
  ExpectSound();
}

TEST_F(IdempotencyTest, SameIdMayBringOtherDomains) {
  EnqueueRequest first = Mail({"a@x.test"});
  EnqueueRequest spilled = Mail({"b@y.test"});
  *spilled.mutable_envelope() = first.envelope();
  const std::string id = Accept(first);
  Accept(spilled);
  Worker worker(*shard_, 1);
  worker.Report(worker.Next(), {Delivered()});
  ExpectSound();
  const Lease second = worker.Next();
  EXPECT_FALSE(second.body->empty());
  worker.Report(second, {Delivered()});
  EXPECT_EQ(Check().bodies(), 0);
  EXPECT_EQ(Message(id)->deliveries_size(), 2);
  ExpectSound();
}

TEST_F(IdempotencyTest, FlaggedRepeatLeavesOutWhatIsKnown) {
  EnqueueRequest mail = Mail({"a@x.test", "b@y.test"});
  Accept(mail);
  mail.set_maybe_repeat(true);
  EXPECT_TRUE(Enqueue(mail).ok());
  EXPECT_EQ(Check().deliveries(), 2);
  Worker worker(*shard_, 2);
  worker.Report(worker.Next(), {Delivered()});
  worker.Report(worker.Next(), {Delivered()});
  EXPECT_TRUE(Enqueue(mail).ok());  // Finished already: known by its trace.
  EXPECT_EQ(Check().deliveries(), 0);
  mail.add_destinations()->set_domain("z.test");
  mail.mutable_destinations(2)->add_recipients("c@z.test");
  EXPECT_TRUE(Enqueue(mail).ok());
  EXPECT_EQ(Check().deliveries(), 1);
  ExpectSound();
}

}  // namespace
}  // namespace hikyaku::queue
