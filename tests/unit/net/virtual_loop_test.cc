#include "lib/net/virtual_loop.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lib/net/deadline.h"
#include "lib/net/memory_stream.h"
#include "lib/net/sleep.h"
#include "lib/net/task_group.h"

namespace hikyaku::net {
namespace {

using Log = std::vector<std::string>;

awaitable<void> SleepAndSay(VirtualLoop& loop, Log& log, std::string name, absl::Duration time) {
  const absl::Status slept = co_await Sleep(time);
  log.push_back(absl::StrCat(name, slept.ok() ? "" : " cancelled", " at ", absl::FormatDuration(loop.now())));
}

awaitable<void> ReadWithLimit(VirtualLoop& loop, Log& log, Stream& stream, absl::Duration limit) {
  char byte;
  const auto got = co_await stream.ReadSome(&byte, 1, limit);
  log.push_back(absl::StrCat(got.ok() ? "read" : got.status().ToString(), " at ", absl::FormatDuration(loop.now())));
}

class VirtualLoopTest : public testing::Test {
 protected:
  ~VirtualLoopTest() override {
    group_.Cancel();
    loop_.RunReady();
  }

  void RunUntil(absl::Duration end) {
    loop_.RunReady();
    while (loop_.next() <= end) loop_.MoveTo(loop_.next());
    loop_.MoveTo(end);
  }

  VirtualLoop loop_;
  TaskGroup group_;
  Log log_;
};

TEST_F(VirtualLoopTest, TimeStandsStillUntilItIsMoved) {
  group_.Spawn(loop_.executor(), SleepAndSay(loop_, log_, "a", absl::Seconds(1)));
  EXPECT_TRUE(loop_.RunReady());
  EXPECT_EQ(loop_.next(), absl::Seconds(1));
  EXPECT_FALSE(loop_.RunReady());
  EXPECT_TRUE(log_.empty());
  loop_.MoveTo(absl::Milliseconds(999));
  EXPECT_TRUE(log_.empty());
  loop_.MoveTo(absl::Seconds(1));
  EXPECT_EQ(log_, Log({"a at 1s"}));
}

TEST_F(VirtualLoopTest, TimersFireInTheOrderOfTheirTimes) {
  group_.Spawn(loop_.executor(), SleepAndSay(loop_, log_, "late", absl::Hours(2)));
  group_.Spawn(loop_.executor(), SleepAndSay(loop_, log_, "soon", absl::Seconds(3)));
  group_.Spawn(loop_.executor(), SleepAndSay(loop_, log_, "at once", absl::ZeroDuration()));
  RunUntil(absl::Hours(3));
  EXPECT_EQ(log_, Log({"at once at 0", "soon at 3s", "late at 2h"}));
}

TEST_F(VirtualLoopTest, LimitsOfStreamsAreVirtual) {
  auto ends = MakeMemoryPair(loop_.executor());
  group_.Spawn(loop_.executor(), ReadWithLimit(loop_, log_, *ends.first, absl::Minutes(5)));
  RunUntil(absl::Minutes(4));
  EXPECT_TRUE(log_.empty());
  RunUntil(absl::Minutes(6));
  EXPECT_EQ(log_, Log({"DEADLINE_EXCEEDED: nothing moved at 5m"}));
}

TEST_F(VirtualLoopTest, ACancelNeedsNoTime) {
  group_.Spawn(loop_.executor(), SleepAndSay(loop_, log_, "a", absl::Seconds(10)));
  group_.Spawn(loop_.executor(), SleepAndSay(loop_, log_, "b", absl::Seconds(5)));
  RunUntil(absl::Seconds(1));
  group_.Cancel();
  loop_.RunReady();
  EXPECT_EQ(log_, Log({"a cancelled at 1s", "b cancelled at 1s"}));
  EXPECT_EQ(group_.size(), 0u);
}

}  // namespace
}  // namespace hikyaku::net
