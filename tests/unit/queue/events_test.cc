#include "lib/queue/events.h"

#include "tests/unit/queue/harness.h"

namespace hikyaku::queue {
namespace {

class Watcher {
 public:
  Watcher(Shard& shard, std::uint64_t after, bool from_now = false) {
    internal::v1::WatchShardRequest request;
    request.set_after(after);
    request.set_from_now(from_now);
    subscription_ = shard.WatchEvents(
        request,
        [this](const v1::Event& event) {
          if (full_) return false;
          absl::MutexLock lock(&mu_);
          events_.push_back(event);
          return true;
        },
        [this](absl::Status why) {
          absl::MutexLock lock(&mu_);
          closed_ = why;
        });
  }
  void End() { subscription_ = nullptr; }
  std::vector<v1::Event> events() const {
    absl::MutexLock lock(&mu_);
    return events_;
  }
  absl::Status closed() const {
    absl::MutexLock lock(&mu_);
    return closed_;
  }
  std::atomic<bool> full_{false};

 private:
  mutable absl::Mutex mu_;
  std::vector<v1::Event> events_;
  absl::Status closed_;
  std::unique_ptr<EventSubscription> subscription_;
};

using EventFeedTest = ShardTest;

TEST_F(EventFeedTest, HistoryThenLiveInOrderWithoutGaps) {
  Open();
  for (int i = 0; i < 600; ++i) Accept(Mail({"a@x.test"}));
  Watcher all(*shard_, 0), some(*shard_, 590);
  Worker worker(*shard_, 1);
  worker.Report(worker.Next(), {Delivered()});
  ASSERT_TRUE(Eventually([&] { return all.events().size() == 601 && some.events().size() == 11; }));
  const std::vector<v1::Event> events = all.events();
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].sequence(), i + 1);
  EXPECT_EQ(events[600].type(), v1::Event::TYPE_DELIVERED);
  EXPECT_EQ(events[600].outcome().smtp_code(), 250);
  EXPECT_EQ(events[0].shard(), "q0");
  EXPECT_EQ(some.events()[0].sequence(), 591);
}

TEST_F(EventFeedTest, FromNowBeginsWithACursor) {
  Open();
  Accept(Mail({"a@x.test"}));
  Watcher watcher(*shard_, 0, true);
  ASSERT_TRUE(Eventually([&] { return watcher.events().size() == 1; }));
  EXPECT_EQ(watcher.events()[0].type(), v1::Event::TYPE_UNSPECIFIED);
  EXPECT_EQ(watcher.events()[0].sequence(), 1);
  Accept(Mail({"a@x.test"}));
  ASSERT_TRUE(Eventually([&] { return watcher.events().size() == 2; }));
  EXPECT_EQ(watcher.events()[1].sequence(), 2);
}

TEST_F(EventFeedTest, SlowWatcherDelaysOnlyItself) {
  Open();
  Watcher slow(*shard_, 0), quick(*shard_, 0);
  slow.full_ = true;
  for (int i = 0; i < 10; ++i) Accept(Mail({"a@x.test"}));
  EXPECT_TRUE(Eventually([&] { return quick.events().size() == 10; }));
  EXPECT_TRUE(slow.events().empty());
  slow.full_ = false;
  EXPECT_TRUE(Eventually([&] { return slow.events().size() == 10; }));
}

TEST_F(EventFeedTest, SequenceGoesOnAfterARestart) {
  Open();
  Accept(Mail({"a@x.test"}));
  Reopen();
  Accept(Mail({"a@x.test"}));
  Watcher watcher(*shard_, 0);
  ASSERT_TRUE(Eventually([&] { return watcher.events().size() == 2; }));
  EXPECT_EQ(watcher.events()[1].sequence(), 2);
}

TEST_F(EventFeedTest, StopClosesAndEndedWatchesHearNothing) {
  Open();
  Watcher closed(*shard_, 0), ended(*shard_, 0);
  ended.End();
  Accept(Mail({"a@x.test"}));
  EXPECT_TRUE(Eventually([&] { return closed.events().size() == 1; }));
  shard_->Stop();
  EXPECT_TRUE(absl::IsUnavailable(closed.closed()));
  EXPECT_TRUE(ended.events().empty());
  EXPECT_TRUE(ended.closed().ok());
}

TEST_F(EventFeedTest, OldEventsAreForgotten) {
  options_.event_retention = absl::Hours(1);
  Open();
  const std::string old = Accept(Mail({"a@x.test"}));
  Worker worker(*shard_, 1);
  worker.Report(worker.Next(), {Delivered()});
  clock_.Advance(absl::Hours(2));
  EXPECT_TRUE(Eventually([&] { return absl::IsNotFound(Message(old).status()); }));
  const std::string young = Accept(Mail({"a@x.test"}));
  Watcher watcher(*shard_, 0);
  ASSERT_TRUE(Eventually([&] { return watcher.events().size() == 1; }));
  EXPECT_EQ(watcher.events()[0].sequence(), 3);
  EXPECT_EQ(Trace(young), "A");
  ExpectSound();
}

TEST_F(EventFeedTest, WatchAfterStopIsToldSo) {
  Open();
  shard_->Stop();
  Watcher late(*shard_, 0);
  EXPECT_TRUE(absl::IsUnavailable(late.closed())) << late.closed();
}

TEST_F(EventFeedTest, MailScheduledLongAgoIsFoundByItsHeader) {
  Open();
  EnqueueRequest mail = Mail({"a@x.test"});
  const std::string header = mail.envelope().message_id_header();
  mail.set_due_micros(Now() + absl::ToInt64Microseconds(absl::Hours(29 * 24)));
  const std::string id = Accept(mail);
  clock_.Advance(absl::Hours(28 * 24));
  v1::GetMessageRequest request;
  request.set_message_id_header(header);
  const auto found = Await<v1::GetMessageResponse>(
      [&](Done<v1::GetMessageResponse> done) { shard_->GetMessage(request, std::move(done)); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->message_id(), id);
}

}  // namespace
}  // namespace hikyaku::queue
