// The table at the top of policies.h, over a policy host in memory.
#include "lib/mta_sts/policies.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/dns/fake_resolver.h"
#include "lib/net/limit.h"
#include "tests/unit/delivery/fake_shard.h"
#include "tests/unit/https/fake_web.h"
#include "tests/unit/net/run_virtual.h"

namespace hikyaku::mta_sts {
namespace {

using https::FakeSite;
using https::FakeWeb;

std::string Text(const std::string& mode = "enforce", int max_age = 86400) {
  return absl::StrCat("version: STSv1\nmode: ", mode, "\nmx: mx.d.test\nmax_age: ", max_age, "\n");
}

class PoliciesTest : public testing::Test {
 protected:
  PoliciesTest() {
    resolver_.SetAddresses("mta-sts.d.test", {"11.0.0.80"});
    site_->answer = FakeWeb::Page(Text());
    Announce("1");
    Restart();
  }

  ~PoliciesTest() override {
    askers_.Cancel();
    group_.Cancel();
    web_->Cancel();
    while (web_->connections() + group_.size() + askers_.size() > 0) net::Turn(loop_);
  }

  // Another worker: it knows nothing but what the shard keeps.
  void Restart() { policies_ = std::make_unique<Policies>(clock_, group_); }

  void Announce(const std::string& id) { resolver_.SetTxt("_mta-sts.d.test", {absl::StrCat("v=STSv1; id=", id, ";")}); }
  void AnnounceNothing() { resolver_.SetTxt("_mta-sts.d.test", {}); }

  Web Doors() { return {resolver_, web_, tls::Client()}; }

  Found Find(bool with_shard = true) {
    auto found = net::RunTask(loop_, policies_->Find(Doors(), "d.test", with_shard ? &shard_ : nullptr));
    EXPECT_TRUE(found.ok()) << found.status();
    while (group_.size() > 0) net::Turn(loop_);
    return *std::move(found);
  }

  // "enforce 1 from memory"; "nothing"; "nothing: http".
  std::string What(bool with_shard = true) {
    const Found found = Find(with_shard);
    if (found.kept) {
      return absl::StrCat(ModeName(found.kept->policy.mode), " ", found.kept->id, " from ", found.from);
    }
    return found.trouble == FetchResult::kOk ? "nothing" : absl::StrCat("nothing: ", FetchResultName(found.trouble));
  }

  int fetches() const { return static_cast<int>(web_->dialled().size()); }

  net::VirtualLoop loop_;
  FakeClock clock_{tls::kNow};
  dns::FakeResolver resolver_;
  std::shared_ptr<FakeWeb> web_ = std::make_shared<FakeWeb>();
  FakeSite* const site_ = &web_->Listen("11.0.0.80:443", {"mta-sts.d.test"});
  delivery::FakeShard shard_;
  net::TaskGroup group_;
  net::TaskGroup askers_;
  std::unique_ptr<Policies> policies_;
};

TEST_F(PoliciesTest, FetchesOnceAndKeeps) {
  EXPECT_EQ(What(), "enforce 1 from the policy host");
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(fetches(), 1);
  const auto kept = shard_.sts();
  ASSERT_EQ(kept.count("d.test"), 1u);
  EXPECT_EQ(kept.at("d.test").id(), "1");
  EXPECT_EQ(kept.at("d.test").text(), Text());
  EXPECT_EQ(kept.at("d.test").expire_micros() - kept.at("d.test").fetched_micros(), 86'400'000'000);
}

TEST_F(PoliciesTest, NoRecordMeansNoFetch) {
  AnnounceNothing();
  EXPECT_EQ(What(), "nothing");
  resolver_.SetTxt("_mta-sts.d.test", {"v=STSv1; id=1;", "v=STSv1; id=2;"});
  EXPECT_EQ(What(), "nothing");
  resolver_.Fail("_mta-sts.d.test", absl::NotFoundError("NXDOMAIN"));
  EXPECT_EQ(What(), "nothing");
  EXPECT_EQ(fetches(), 0);
}

TEST_F(PoliciesTest, AnotherWorkerFindsItAtTheShard) {
  What();
  Restart();
  site_->answer = FakeWeb::Page("", "500 Broken");
  EXPECT_EQ(What(), "enforce 1 from the shard");
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(fetches(), 1);
}

TEST_F(PoliciesTest, WithoutAShardItIsFetchedAgain) {
  EXPECT_EQ(What(/*with_shard=*/false), "enforce 1 from the policy host");
  Restart();
  EXPECT_EQ(What(/*with_shard=*/false), "enforce 1 from the policy host");
  EXPECT_EQ(fetches(), 2);
}

// RFC 8461 §5.1: what is cached holds until its time is over, whatever DNS says.
TEST_F(PoliciesTest, HoldsThoughTheRecordIsGone) {
  What();
  AnnounceNothing();
  EXPECT_EQ(What(), "enforce 1 from memory");
  Restart();
  EXPECT_EQ(What(), "enforce 1 from the shard");
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(What(), "nothing");
  EXPECT_EQ(fetches(), 1);
}

TEST_F(PoliciesTest, HoldsThoughDnsFails) {
  What();
  for (const absl::Status& status : {absl::UnavailableError("SERVFAIL"), absl::DeadlineExceededError("silent")}) {
    resolver_.Fail("_mta-sts.d.test", status);
    EXPECT_EQ(What(), "enforce 1 from memory");
  }
  EXPECT_EQ(fetches(), 1);
}

TEST_F(PoliciesTest, DnsThatFailsIsNoPolicyWhereNoneIsKnown) {
  resolver_.Fail("_mta-sts.d.test", absl::UnavailableError("SERVFAIL"));
  EXPECT_EQ(What(), "nothing");
}

// BATTERY: a dead DNS for this name costs little, and once.
TEST_F(PoliciesTest, SilentDnsIsWaitedForOnce) {
  resolver_.Fail("_mta-sts.d.test", absl::DeadlineExceededError("silent"));
  const net::TimePoint start = net::SteadyClock::now();
  EXPECT_EQ(What(), "nothing");
  const absl::Duration first = -net::LeftUntil(start);
  EXPECT_LE(first, Policies::kRecordLimit);
  const int lookups = resolver_.lookups();
  EXPECT_EQ(What(), "nothing");
  EXPECT_EQ(resolver_.lookups(), lookups);
  EXPECT_EQ(-net::LeftUntil(start), first);
  clock_.Advance(Policies::kRecordRest);
  resolver_.Fail("_mta-sts.d.test", absl::OkStatus());
  EXPECT_EQ(What(), "enforce 1 from the policy host");
}

TEST_F(PoliciesTest, ANewIdBringsTheNewPolicyForTheMailThatFollows) {
  What();
  Announce("2");
  site_->answer = FakeWeb::Page(Text("testing"));
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(What(), "testing 2 from memory");
  EXPECT_EQ(shard_.sts().at("d.test").id(), "2");
  EXPECT_EQ(fetches(), 2);
}

TEST_F(PoliciesTest, TheOldOneHoldsWhereTheNewOneCannotBeHad) {
  What();
  Announce("2");
  site_->answer = FakeWeb::Page("", "404 Not Found");
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(fetches(), 2) << "not again at once";
  clock_.Advance(Policies::kRetryAfter);
  site_->answer = FakeWeb::Page(Text("none"));
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(What(), "none 2 from memory");
}

TEST_F(PoliciesTest, IsFetchedAnewAtHalfItsLife) {
  What();
  clock_.Advance(absl::Hours(11));
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(fetches(), 1);
  clock_.Advance(absl::Hours(1));
  resolver_.Fail("_mta-sts.d.test", absl::UnavailableError("SERVFAIL"));  // Who blocks DNS does not win by waiting.
  EXPECT_EQ(What(), "enforce 1 from memory");
  EXPECT_EQ(fetches(), 2);
  clock_.Advance(absl::Hours(13));
  EXPECT_EQ(What(), "enforce 1 from memory") << "of the second fetch";
}

TEST_F(PoliciesTest, FailedFetchIsNoPolicyAndNotRepeatedSoon) {
  site_->answer = FakeWeb::Page("", "404 Not Found");
  EXPECT_EQ(What(), "nothing: http");
  EXPECT_EQ(What(), "nothing: http");
  EXPECT_EQ(fetches(), 1);
  Announce("2");
  EXPECT_EQ(What(), "nothing: http");
  EXPECT_EQ(fetches(), 2) << "another id may have another file";
  clock_.Advance(Policies::kRetryAfter);
  site_->answer = FakeWeb::Page(Text());
  EXPECT_EQ(What(), "enforce 2 from the policy host");
}

TEST_F(PoliciesTest, ShortLifeStillServesAMinute) {
  site_->answer = FakeWeb::Page(Text("enforce", 0));
  What();
  EXPECT_EQ(What(), "enforce 1 from memory");
  clock_.Advance(Policies::kShortestLife);
  EXPECT_EQ(What(), "enforce 1 from the policy host");
}

TEST_F(PoliciesTest, AllWhoWantOneShareTheFetch) {
  site_->before = absl::Seconds(5);
  int answered = 0;
  const auto ask = [&]() -> awaitable<void> {
    const auto found = co_await policies_->Find(Doors(), "d.test", &shard_);
    answered += found.ok() && found->kept != nullptr;
  };
  for (int i = 0; i < 10; ++i) askers_.Spawn(loop_.executor(), ask());
  while (answered < 10) net::Turn(loop_);
  EXPECT_EQ(fetches(), 1);
}

TEST_F(PoliciesTest, AFetchOfOneDomainIsNoMatterOfAnother) {
  site_->before = absl::Seconds(10);
  bool slow = false;
  const auto ask = [&]() -> awaitable<void> {
    const auto found = co_await policies_->Find(Doors(), "d.test", &shard_);
    slow = found.ok();
  };
  askers_.Spawn(loop_.executor(), ask());
  const auto other = net::RunTask(loop_, policies_->Find(Doors(), "other.test", &shard_));
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->kept, nullptr);
  EXPECT_FALSE(slow);
  while (!slow) net::Turn(loop_);
}

TEST_F(PoliciesTest, AStopEndsTheWait) {
  site_->before = absl::Seconds(10);
  std::optional<absl::Status> ended;
  const auto ask = [&]() -> awaitable<void> {
    const auto found = co_await policies_->Find(Doors(), "d.test", &shard_);
    ended = found.status();
  };
  askers_.Spawn(loop_.executor(), ask());
  while (web_->connections() == 0) net::Turn(loop_);
  group_.Cancel();
  while (!ended) net::Turn(loop_);
  EXPECT_TRUE(absl::IsCancelled(*ended)) << *ended;
}

// What the shard holds is another program's word as well.
TEST_F(PoliciesTest, DamagedRecordIsNone) {
  storage::v1::StsPolicy record;
  record.set_domain("d.test");
  record.set_id("1");
  record.set_text("damaged");
  record.set_fetched_micros(absl::ToUnixMicros(clock_.Now()));
  record.set_expire_micros(absl::ToUnixMicros(clock_.Now() + absl::Hours(1)));
  shard_.PutStsPolicy(record, [](auto) {});
  EXPECT_EQ(What(), "enforce 1 from the policy host");
}

}  // namespace
}  // namespace hikyaku::mta_sts
