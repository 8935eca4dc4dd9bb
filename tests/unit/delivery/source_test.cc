#include "lib/delivery/source.h"

#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace hikyaku::delivery {
namespace {

absl::Time At(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

const absl::Time kNow = At("2026-12-01T12:00:00Z");

Source From(const std::string& address, std::uint32_t weight = 1) {
  Source source;
  source.name = "p/" + address;
  source.address = address::IpAddress::Parse(address).value();
  source.weight = weight;
  return source;
}

Source Warm(const std::string& address, std::vector<std::uint64_t> days) {
  Source source = From(address);
  source.warm_up = WarmUp{*ParseDay("2026-12-01"), std::move(days)};
  return source;
}

TEST(WarmUpPlan, LimitsDayByDay) {
  const WarmUp plan{*ParseDay("2026-12-01"), {10, 20}};
  EXPECT_EQ(plan.LimitAt(At("2026-11-30T23:59:59Z")), 0u);
  EXPECT_EQ(plan.LimitAt(At("2026-12-01T00:00:00Z")), 10u);
  EXPECT_EQ(plan.LimitAt(At("2026-12-01T23:59:59Z")), 10u);
  EXPECT_EQ(plan.LimitAt(At("2026-12-02T00:00:00Z")), 20u);
  EXPECT_EQ(plan.LimitAt(At("2026-12-03T00:00:00Z")), std::nullopt);
  for (const char* bad : {"", "2026-13-01", "2026-12-1", "today", "2026-12-01T00"})
    EXPECT_FALSE(ParseDay(bad).ok()) << bad;
}

TEST(WarmUpLedger, BoundsOneDayAndForgetsIt) {
  WarmUpLedger ledger;
  const Source source = Warm("192.0.2.1", {2, 3});
  EXPECT_TRUE(ledger.Reserve(source, kNow));
  EXPECT_TRUE(ledger.Reserve(source, kNow));
  EXPECT_FALSE(ledger.Reserve(source, kNow));
  ledger.GiveBack(source, kNow);
  EXPECT_TRUE(ledger.Reserve(source, kNow));
  EXPECT_EQ(ledger.Taken(source, kNow), 2u);
  const absl::Time tomorrow = kNow + absl::Hours(24);
  EXPECT_EQ(ledger.Taken(source, tomorrow), 0u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ledger.Reserve(source, tomorrow));
  EXPECT_FALSE(ledger.Reserve(source, tomorrow));
  ledger.GiveBack(source, kNow);
  EXPECT_EQ(ledger.Taken(source, tomorrow), 3u) << "what was taken yesterday is not given back today";
}

TEST(SourceChoice, WeightsAreShares) {
  const SourcePool pool{"p", {From("192.0.2.1", 1), From("192.0.2.2", 3)}};
  WarmUpLedger ledger;
  std::map<std::string, int> count;
  for (std::uint32_t seed = 0; seed < 4000; ++seed) {
    SourceChoice choice(pool, ledger, seed);
    ++count[choice.For(true, kNow)->name];
  }
  EXPECT_EQ(count["p/192.0.2.1"], 1000);
  EXPECT_EQ(count["p/192.0.2.2"], 3000);
}

TEST(SourceChoice, IsTheSameForTheWholeAttempt) {
  const SourcePool pool{"p", {From("192.0.2.1"), From("2001:db8::1")}};
  WarmUpLedger ledger;
  SourceChoice choice(pool, ledger, 7);
  EXPECT_EQ(choice.For(true, kNow), &pool.sources[0]);
  EXPECT_EQ(choice.For(false, kNow), &pool.sources[1]);
  EXPECT_EQ(choice.For(true, kNow), &pool.sources[0]);
}

TEST(SourceChoice, FamilyThatNoSourceHas) {
  WarmUpLedger ledger;
  SourcePool pool{"p", {From("192.0.2.1")}};
  SourceChoice strict(pool, ledger, 0);
  EXPECT_EQ(strict.For(false, kNow), nullptr);
  EXPECT_EQ(strict.why(), "pool \"p\" has no source for IPv6");
  pool.kernel_fills_in = true;
  SourceChoice lax(pool, ledger, 0);
  ASSERT_NE(lax.For(false, kNow), nullptr);
  EXPECT_EQ(lax.For(false, kNow)->address, std::nullopt);
}

TEST(SourceChoice, FullPlanGoesOnToTheNextSource) {
  const SourcePool pool{"p", {Warm("192.0.2.1", {1}), From("192.0.2.2")}};
  WarmUpLedger ledger;
  std::map<std::string, int> count;
  for (std::uint32_t seed = 0; seed < 100; ++seed) {
    SourceChoice choice(pool, ledger, seed);
    ++count[choice.For(true, kNow)->name];
    choice.Spend(true);
  }
  EXPECT_EQ(count["p/192.0.2.1"], 1);
  EXPECT_EQ(count["p/192.0.2.2"], 99);
}

TEST(SourceChoice, EverySourceFull) {
  const SourcePool pool{"p", {Warm("192.0.2.1", {1}), Warm("192.0.2.2", {1})}};
  WarmUpLedger ledger;
  for (std::uint32_t i = 0; i < 2; ++i) {
    SourceChoice choice(pool, ledger, 0);
    EXPECT_NE(choice.For(true, kNow), nullptr);
    choice.Spend(true);
  }
  SourceChoice choice(pool, ledger, 0);
  EXPECT_EQ(choice.For(true, kNow), nullptr);
  EXPECT_NE(choice.why().find("warm-up plan"), std::string::npos) << choice.why();
}

TEST(SourceChoice, AttemptThatReachedNobodyTakesNothing) {
  const SourcePool pool{"p", {Warm("192.0.2.1", {1})}};
  WarmUpLedger ledger;
  for (int i = 0; i < 3; ++i) {
    SourceChoice choice(pool, ledger, 0);
    EXPECT_NE(choice.For(true, kNow), nullptr);
    EXPECT_EQ(ledger.Taken(pool.sources[0], kNow), 1u);
  }
  EXPECT_EQ(ledger.Taken(pool.sources[0], kNow), 0u);
}

TEST(Sources, DefaultIsAlwaysThere) {
  const Sources none;
  ASSERT_NE(none.Find(""), nullptr);
  EXPECT_EQ(none.Find("x"), nullptr);
  const Sources some = *Sources::Create({{"x", {From("192.0.2.1")}}, {"default", {From("192.0.2.2")}}});
  EXPECT_EQ(some.Find("x")->sources[0].name, "p/192.0.2.1");
  EXPECT_EQ(some.Find("")->sources[0].name, "p/192.0.2.2");
  EXPECT_FALSE(Sources::Create({{"x", {From("192.0.2.1")}}, {"x", {From("192.0.2.2")}}}).ok());
  EXPECT_FALSE(Sources::Create({{"x", {}}}).ok());
}

}  // namespace
}  // namespace hikyaku::delivery
