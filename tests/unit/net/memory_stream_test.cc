#include "lib/net/memory_stream.h"

#include <gtest/gtest.h>

#include <string>

#include "lib/base/status_macros.h"
#include "lib/net/deadline.h"
#include "lib/net/sleep.h"
#include "tests/unit/net/run.h"

namespace hikyaku::net {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(5);
constexpr absl::Duration kShort = absl::Milliseconds(10);

awaitable<absl::StatusOr<std::string>> Read(Stream& stream, absl::Duration limit = kLimit) {
  char bytes[1024];
  CO_ASSIGN_OR_RETURN(const std::size_t count, co_await stream.ReadSome(bytes, sizeof bytes, limit));
  co_return std::string(bytes, count);
}

// Two ends in a context that Do() runs.
class MemoryStreamTest : public testing::Test {
 protected:
  template <typename T>
  T Do(awaitable<T> task) {
    return RunTask(context_, std::move(task));
  }

  asio::io_context context_{1};
  std::pair<std::unique_ptr<MemoryStream>, std::unique_ptr<MemoryStream>> ends_ =
      MakeMemoryPair(context_.get_executor());
  MemoryStream& here_ = *ends_.first;
  MemoryStream& there_ = *ends_.second;
};

TEST_F(MemoryStreamTest, CarriesPiecesInOrder) {
  const absl::string_view pieces[] = {"MAIL", " ", "", "FROM"};
  EXPECT_TRUE(Do(here_.Write(pieces, kLimit)).ok());
  EXPECT_EQ(*Do(Read(there_)), "MAIL FROM");
}

TEST_F(MemoryStreamTest, CloseIsTheEndForThePeerAfterAllBytes) {
  EXPECT_TRUE(Do(here_.WriteAll("QUIT", kLimit)).ok());
  here_.Close();
  EXPECT_EQ(*Do(Read(there_)), "QUIT");
  EXPECT_EQ(Do(Read(there_)).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(Do(there_.WriteAll("x", kLimit)).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Do(Read(here_)).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(MemoryStreamTest, SilenceMeetsTheLimit) {
  EXPECT_EQ(Do(Read(there_, kShort)).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(MemoryStreamTest, WhatHasArrivedIsReadWithoutWaiting) {
  char bytes[8];
  EXPECT_EQ(*there_.ReadArrived(bytes, sizeof bytes), 0u);
  EXPECT_TRUE(Do(here_.WriteAll("421", kLimit)).ok());
  EXPECT_EQ(*there_.ReadArrived(bytes, sizeof bytes), 3u);
  here_.Close();
  EXPECT_EQ(there_.ReadArrived(bytes, sizeof bytes).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(MemoryStreamTest, WriterWaitsForTheReaderAtTheWindow) {
  const std::string much(MemoryStream::kWindow + 1, 'x');
  EXPECT_EQ(Do(here_.WriteAll(much, kShort)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(MemoryStreamTest, ReadAtMostCutsReads) {
  there_.ReadAtMost(1);
  EXPECT_TRUE(Do(here_.WriteAll("ab", kLimit)).ok());
  EXPECT_EQ(*Do(Read(there_)), "a");
  EXPECT_EQ(*Do(Read(there_)), "b");
}

TEST_F(MemoryStreamTest, FailsOnDemandAfterSomeBytes) {
  there_.FailReadsAfter(3, absl::UnavailableError("reset"));
  EXPECT_TRUE(Do(here_.WriteAll("abcdef", kLimit)).ok());
  EXPECT_EQ(*Do(Read(there_)), "abc");
  EXPECT_EQ(Do(Read(there_)).status(), absl::UnavailableError("reset"));
  here_.FailWritesAfter(0, absl::UnavailableError("broken"));
  EXPECT_EQ(Do(here_.WriteAll("g", kLimit)), absl::UnavailableError("broken"));
}

TEST_F(MemoryStreamTest, StallsOnDemand) {
  there_.FailReadsAfter(0, absl::OkStatus());
  EXPECT_TRUE(Do(here_.WriteAll("abc", kLimit)).ok());
  EXPECT_EQ(Do(Read(there_, kShort)).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(MemoryStreamTest, WithDeadlineCancelsTheRead) {
  EXPECT_EQ(Do(WithDeadline(kShort, Read(there_))).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(Do(here_.WriteAll("abc", kLimit)).ok());
  EXPECT_EQ(*Do(WithDeadline(kLimit, Read(there_))), "abc");
}

awaitable<absl::Status> SleepThenSay(absl::Duration time) {
  CO_RETURN_IF_ERROR(co_await Sleep(time));
  co_return absl::DataLossError("slept");
}

TEST(WithDeadline, GivesTheResultOrTheDeadline) {
  EXPECT_EQ(RunTask(WithDeadline(kLimit, SleepThenSay(absl::ZeroDuration()))), absl::DataLossError("slept"));
  EXPECT_EQ(RunTask(WithDeadline(kShort, SleepThenSay(absl::Hours(1)))).code(), absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace hikyaku::net
