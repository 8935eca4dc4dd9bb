#include "lib/net/task_group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "lib/net/io_pool.h"
#include "lib/net/resume.h"
#include "lib/net/sleep.h"

namespace hikyaku::net {
namespace {

using Codes = std::vector<absl::StatusCode>;

awaitable<void> CountAfter(absl::Duration wait, std::atomic<int>& count) {
  const absl::Status slept = co_await Sleep(wait);
  if (slept.ok()) ++count;
}

awaitable<void> SleepTwice(Codes& codes) {
  codes.push_back((co_await Sleep(absl::Hours(1))).code());
  codes.push_back((co_await Sleep(absl::Hours(1))).code());
}

TEST(TaskGroup, WaitReturnsWhenAllTasksAreDone) {
  IoPool pool(2);
  TaskGroup group;
  std::atomic<int> count{0};
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(group.Spawn(pool.Next(), CountAfter(absl::Milliseconds(i % 5), count)));
  group.Close();
  group.Wait();
  EXPECT_EQ(count, 100);
  EXPECT_EQ(group.size(), 0u);
}

TEST(TaskGroup, ClosedGroupTakesNoTask) {
  IoPool pool(1);
  TaskGroup group;
  group.Close();
  std::atomic<int> count{0};
  EXPECT_FALSE(group.Spawn(pool.Next(), CountAfter(absl::ZeroDuration(), count)));
  group.Wait();
  EXPECT_EQ(count, 0);
}

TEST(TaskGroup, CancelEndsThisWaitAndAllLaterOnes) {
  IoPool pool(1);
  TaskGroup group;
  Codes codes;
  group.Spawn(pool.Next(), SleepTwice(codes));
  group.Close();
  EXPECT_FALSE(group.WaitFor(absl::Milliseconds(20)));
  group.Cancel();
  group.Wait();
  EXPECT_EQ(codes, (Codes{absl::StatusCode::kCancelled, absl::StatusCode::kCancelled}));
}

TEST(TaskGroup, CancelWhileTasksStartLosesNone) {
  IoPool pool(2);
  for (int round = 0; round < 200; ++round) {
    TaskGroup group;
    std::atomic<int> count{0};
    std::thread spawner([&] {
      for (int i = 0; i < 20; ++i) group.Spawn(pool.Next(), CountAfter(absl::Hours(1), count));
    });
    group.Cancel();
    spawner.join();
    group.Wait();
    EXPECT_EQ(count, 0);
  }
}

awaitable<void> JoinAndMark(TaskGroup& group, std::atomic<int>& count, std::atomic<int>& seen) {
  co_await group.Join();
  seen = count.load();
}

TEST(TaskGroup, JoinWaitsInACoroutine) {
  IoPool pool(2);
  TaskGroup inner, outer;
  std::atomic<int> count{0}, seen{-1};
  for (int i = 0; i < 5; ++i) inner.Spawn(pool.Next(), CountAfter(absl::Milliseconds(10), count));
  inner.Close();
  outer.Spawn(pool.Next(), JoinAndMark(inner, count, seen));
  outer.Close();
  outer.Wait();
  EXPECT_EQ(seen, 5);
}

TEST(TaskGroupDeathTest, DestroyingLivingTasksIsABug) {
  EXPECT_DEATH(
      {
        IoPool pool(1);
        TaskGroup group;
        std::atomic<int> count{0};
        group.Spawn(pool.Next(), CountAfter(absl::Hours(1), count));
      },
      "size\\(\\) == 0");
}

awaitable<void> AwaitAnswer(std::thread& answerer, int& value, std::thread::id& before, std::thread::id& after) {
  before = std::this_thread::get_id();
  value = co_await AwaitCallback<int>([&](Resume<int> done) { answerer = std::thread([done] { done(42); }); });
  after = std::this_thread::get_id();
}

TEST(Resume, CoroutineGoesOnOnItsOwnThread) {
  IoPool pool(2);
  TaskGroup group;
  std::thread answerer;
  int value = 0;
  std::thread::id before, after;
  group.Spawn(pool.Next(), AwaitAnswer(answerer, value, before, after));
  group.Close();
  group.Wait();
  answerer.join();
  EXPECT_EQ(value, 42);
  EXPECT_EQ(before, after);
}

awaitable<void> AwaitInline(int& value) {
  value = co_await AwaitCallback<int>([](std::function<void(int)> done) {
    done(1);
    done(2);  // Only the first call counts.
  });
}

TEST(Resume, AnswerInsideTheInitiationAndOnlyTheFirst) {
  IoPool pool(1);
  TaskGroup group;
  int value = 0;
  group.Spawn(pool.Next(), AwaitInline(value));
  group.Close();
  group.Wait();
  EXPECT_EQ(value, 1);
}

using Late = std::function<void(absl::StatusOr<int>)>;

awaitable<void> AwaitWithin(absl::Duration limit, Late& kept, absl::StatusOr<int>& result) {
  result = co_await AwaitCallbackWithin<int>(limit, [&](Resume<absl::StatusOr<int>> done) { kept = done; });
}

TEST(Resume, LimitEndsTheWaitAndLateAnswersAreDropped) {
  IoPool pool(1);
  TaskGroup group;
  Late late;
  absl::StatusOr<int> result;
  group.Spawn(pool.Next(), AwaitWithin(absl::Milliseconds(10), late, result));
  group.Close();
  group.Wait();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
  late(7);
  EXPECT_FALSE(result.ok());
}

TEST(Resume, CancelEndsTheWait) {
  IoPool pool(1);
  TaskGroup group;
  Late late;
  absl::StatusOr<int> result;
  group.Spawn(pool.Next(), AwaitWithin(absl::Hours(1), late, result));
  group.Close();
  EXPECT_FALSE(group.WaitFor(absl::Milliseconds(20)));
  group.Cancel();
  group.Wait();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
  late(7);
}

TEST(Resume, AnswersRacingWithTheLimitAreSafe) {
  IoPool pool(2);
  for (int round = 0; round < 200; ++round) {
    TaskGroup group;
    Late late;
    absl::StatusOr<int> result;
    group.Spawn(pool.Next(), AwaitWithin(absl::Microseconds(round), late, result));
    group.Close();
    group.Wait();
    std::thread answerer([&] { late(round); });
    answerer.join();
    EXPECT_FALSE(result.ok());
  }
}

}  // namespace
}  // namespace hikyaku::net
