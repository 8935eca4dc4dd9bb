#include "lib/queue/schedule.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::queue {
namespace {

class ScheduleTest : public testing::Test {
 protected:
  ItemPtr Add(const std::string& tenant, const std::string& domain, int priority = 0, std::uint64_t size = 1000) {
    auto item = std::make_shared<Item>();
    item->key = absl::StrCat("id", count_++);
    item->tenant = tenant;
    item->priority_class = PriorityClass(priority);
    item->size = size;
    item->domain = &schedule_.Get(domain);
    ++item->domain->open;
    schedule_.Hold(*item);
    schedule_.Push(item);
    return item;
  }
  // Pops up to `count`; counts them by `name`.
  std::map<std::string, int> Take(int count, const std::function<std::string(const Item&)>& name) {
    std::map<std::string, int> taken;
    for (int i = 0; i < count; ++i) {
      ItemPtr item = schedule_.Pop();
      if (item == nullptr) break;
      popped_.push_back(item);
      ++taken[name(*item)];
    }
    return taken;
  }
  static std::string Domain_(const Item& item) { return item.domain->name; }
  static std::string Tenant_(const Item& item) { return item.tenant; }
  static std::string Class_(const Item& item) { return kPriorityNames[item.priority_class]; }

  int count_ = 0;
  Schedule schedule_{{.domain_concurrency = 1000, .pace = {.first = 1000}, .window = 10'000, .domain_window = 5'000}};
  std::vector<ItemPtr> popped_;
};

TEST_F(ScheduleTest, EmptyGivesNothing) { EXPECT_EQ(schedule_.Pop(), nullptr); }

TEST_F(ScheduleTest, FirstInFirstOutWithinADomain) {
  const ItemPtr first = Add("t", "x"), second = Add("t", "x");
  EXPECT_EQ(schedule_.Pop(), first);
  EXPECT_EQ(schedule_.Pop(), second);
}

TEST_F(ScheduleTest, DomainsShareEvenly) {
  for (int i = 0; i < 300; ++i) Add("t", "big");
  for (int i = 0; i < 10; ++i) Add("t", "small");
  EXPECT_EQ(Take(20, Domain_), (std::map<std::string, int>{{"big", 10}, {"small", 10}}));
}

TEST_F(ScheduleTest, TenantsShareEvenlyHoweverManyDomainsTheyHave) {
  for (int i = 0; i < 100; ++i) Add("many", absl::StrCat("d", i));
  for (int i = 0; i < 100; ++i) Add("one", "x");
  EXPECT_EQ(Take(100, Tenant_), (std::map<std::string, int>{{"many", 50}, {"one", 50}}));
}

TEST_F(ScheduleTest, HighGoesFirstButBulkIsNotStarved) {
  for (int i = 0; i < 100; ++i) {
    Add("t", "x", 1);
    Add("t", "x", 2);
    Add("t", "x", 3);
  }
  EXPECT_EQ(Take(42, Class_), (std::map<std::string, int>{{"bulk", 2}, {"high", 32}, {"normal", 8}}));
  EXPECT_EQ(popped_[0]->priority_class, 0);
}

TEST_F(ScheduleTest, LargeMailCountsForMore) {
  for (int i = 0; i < 100; ++i) {
    Add("t", "large", 0, 4 << 20);
    Add("t", "small", 0, 1000);
  }
  const auto taken = Take(68, Domain_);
  EXPECT_EQ(taken.at("large"), 4);
  EXPECT_EQ(taken.at("small"), 64);
}

TEST_F(ScheduleTest, DomainAtItsLimitIsSkippedAndComesBack) {
  schedule_.SetDomainConcurrency(2);
  for (int i = 0; i < 5; ++i) Add("t", "slow");
  for (int i = 0; i < 3; ++i) Add("u", "quick", 3);
  schedule_.SetDomainConcurrency(3);
  EXPECT_EQ(Take(100, Domain_), (std::map<std::string, int>{{"slow", 3}, {"quick", 3}}));
  schedule_.Release(schedule_.Get("slow"));
  EXPECT_EQ(Take(100, Domain_), (std::map<std::string, int>{{"slow", 1}}));
}

TEST_F(ScheduleTest, SuspendedDomainRests) {
  Add("t", "x");
  Add("t", "y");
  schedule_.Suspend(schedule_.Get("x"), true);
  EXPECT_EQ(Take(10, Domain_), (std::map<std::string, int>{{"y", 1}}));
  schedule_.Suspend(schedule_.Get("x"), false);
  EXPECT_EQ(Take(10, Domain_), (std::map<std::string, int>{{"x", 1}}));
}

TEST_F(ScheduleTest, RemovedItemsNeverCome) {
  const ItemPtr first = Add("t", "x"), second = Add("t", "x");
  schedule_.Remove(*first);
  EXPECT_EQ(schedule_.Pop(), second);
  EXPECT_EQ(schedule_.Pop(), nullptr);
  EXPECT_EQ(schedule_.ready(1), 0);
}

TEST_F(ScheduleTest, ReturnedItemGoesToTheFront) {
  const ItemPtr first = Add("t", "x");
  Add("t", "x");
  schedule_.Pop();
  schedule_.Release(*first->domain);
  schedule_.Push(first, /*front=*/true);
  EXPECT_EQ(schedule_.Pop(), first);
}

TEST_F(ScheduleTest, ItemPutBackComesNextAndOwesNothing) {
  const ItemPtr large = Add("t", "x", 0, 4 << 20);
  for (int i = 0; i < 50; ++i) Add("t", "x");
  for (int i = 0; i < 50; ++i) Add("u", "y");
  for (int i = 0; i < 100; ++i) {
    ItemPtr item = schedule_.Pop();
    while (item != large) {
      schedule_.PutBack(item);
      item = schedule_.Pop();
    }
    schedule_.PutBack(item);
  }
  EXPECT_EQ(schedule_.Get("x").active, 0);
  schedule_.Remove(*large);
  EXPECT_EQ(Take(20, Tenant_), (std::map<std::string, int>{{"t", 10}, {"u", 10}}));
}

TEST_F(ScheduleTest, WindowIsBoundedButEveryDomainGetsALittle) {
  Schedule schedule({.domain_concurrency = 2, .window = 20, .domain_window = 10});
  std::vector<ItemPtr> items;
  const auto fill = [&](const std::string& domain, int priority_class = 2) {
    int held = 0;
    while (schedule.HasRoom(schedule.Get(domain), priority_class, "")) {
      auto item = std::make_shared<Item>();
      item->priority_class = priority_class;
      item->domain = &schedule.Get(domain);
      schedule.Hold(*item);
      items.push_back(item);
      ++held;
    }
    return held;
  };
  EXPECT_EQ(fill("a"), 10);
  EXPECT_EQ(fill("b"), 10);
  EXPECT_EQ(fill("c"), 4);     // The window is full: just enough for its workers.
  EXPECT_EQ(fill("a", 1), 5);  // A backlog of bulk mail leaves room for the others.
  EXPECT_EQ(fill("a", 0), 5);
  for (int i = 0; i < 100; ++i) fill(absl::StrCat("d", i));
  EXPECT_LE(schedule.held(), 40);
  schedule.Suspend(schedule.Get("e"), true);
  EXPECT_EQ(fill("e"), 0);
}

TEST_F(ScheduleTest, EachTenantOfADomainHasALittleRoom) {
  schedule_.SetDomainConcurrency(2);
  Domain& domain = schedule_.Get("x");
  while (schedule_.HasRoom(domain, 1, "big")) Add("big", "x");
  schedule_.NoteParked(domain, 1, "big", "k");
  int small = 0;
  for (; schedule_.HasRoom(domain, 1, "small"); ++small) Add("small", "x");
  EXPECT_EQ(small, 4);  // Twice what its workers can do at once.
}

TEST_F(ScheduleTest, LowLaneWithParkedMailAsksForMore) {
  schedule_.SetDomainConcurrency(1);
  std::vector<ItemPtr> items;
  for (int i = 0; i < 3; ++i) items.push_back(Add("t", "x"));
  Domain& domain = schedule_.Get("x");
  schedule_.NoteParked(domain, 1, "t", "k2");
  schedule_.NoteParked(domain, 1, "t", "k1");
  Lane& lane = domain.lanes[1].at("t");
  EXPECT_EQ(lane.from, "k1");
  EXPECT_FALSE(schedule_.HasRoom(domain, 1, "t"));  // What comes now must not overtake what is parked,
  EXPECT_TRUE(schedule_.HasRoom(domain, 0, "t"));   // unless it is of another class,
  EXPECT_TRUE(schedule_.HasRoom(domain, 1, "u"));   // or of another tenant.
  EXPECT_EQ(schedule_.NextRefill(), nullptr);
  schedule_.Pop();
  schedule_.Release(domain);
  schedule_.Pop();
  EXPECT_EQ(schedule_.NextRefill(), &lane);
  EXPECT_EQ(schedule_.NextRefill(), nullptr);
  schedule_.NoteRefilled(lane, "");
  EXPECT_TRUE(schedule_.HasRoom(domain, 1, "t"));
}

TEST_F(ScheduleTest, ForgottenWhenNothingIsLeft) {
  const ItemPtr item = Add("t", "x");
  schedule_.Pop();
  Domain& domain = *item->domain;
  schedule_.Forget(domain);
  EXPECT_EQ(schedule_.domains().size(), 1);
  schedule_.Release(domain);
  schedule_.Drop(*item);
  --domain.open;
  schedule_.Forget(domain);
  EXPECT_EQ(schedule_.domains().size(), 0);
}

TEST_F(ScheduleTest, ForgottenWithWhatIsScheduledButNotWithWhatIsParked) {
  schedule_.Opened("later");
  EXPECT_EQ(schedule_.Find("later"), nullptr);
  Domain& domain = schedule_.Get("x");
  schedule_.Opened("x");
  schedule_.NoteParked(domain, 1, "t", "k");
  schedule_.Forget(domain);
  EXPECT_EQ(schedule_.Find("x"), &domain);
  EXPECT_EQ(schedule_.NextRefill(), &domain.lanes[1].at("t"));
  schedule_.NoteRefilled(domain.lanes[1].at("t"), "");
  schedule_.Forget(domain);
  EXPECT_EQ(schedule_.Find("x"), nullptr);
  EXPECT_EQ(schedule_.domains().size(), 2);
  EXPECT_EQ(schedule_.Get("x").open, 1);
}

// Found by the simulation: the last delivery of a domain ended in the commit that brought the next one, which was
// parked and then known to nobody until it expired.
TEST_F(ScheduleTest, WhatIsParkedAndNotYetCountedIsNotForgotten) {
  Domain& domain = schedule_.Get("x");
  schedule_.NoteParked(domain, 1, "t", "k");
  schedule_.Forget(domain);
  ASSERT_EQ(schedule_.Find("x"), &domain);
  EXPECT_EQ(schedule_.NextRefill(), &domain.lanes[1].at("t"));
}

TEST_F(ScheduleTest, LanesAreAskedInTurnWhetherTheyHaveRoomAgain) {
  Schedule schedule({.domain_concurrency = 1, .window = 1, .domain_window = 1});
  std::vector<ItemPtr> held;
  const auto hold = [&](const std::string& domain) {
    auto item = std::make_shared<Item>();
    item->domain = &schedule.Get(domain);
    schedule.Hold(*item);
    held.push_back(item);
  };
  for (int i = 0; i < 4; ++i) hold("full");  // Four times the window: no room for anybody.
  for (int i = 0; i < 10; ++i) schedule.NoteParked(schedule.Get(absl::StrCat("d", i)), 1, "", "k");
  schedule.NoteRefills(100);
  EXPECT_FALSE(schedule.wants_refill());
  for (const ItemPtr& item : held) schedule.Drop(*item);
  EXPECT_FALSE(schedule.wants_refill());
  schedule.NoteRefills(4);
  int asked = 0;
  while (schedule.NextRefill() != nullptr) ++asked;
  EXPECT_EQ(asked, 4);
  schedule.NoteRefills(6);
  while (schedule.NextRefill() != nullptr) ++asked;
  EXPECT_EQ(asked, 10);
}

}  // namespace
}  // namespace hikyaku::queue
