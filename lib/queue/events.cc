#include "lib/queue/events.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "lib/base/message_id.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// Events read at a time for one watcher, so that the others wait only shortly.
constexpr int kRound = 256;

// After a watcher refused one, or a read failed.
constexpr absl::Duration kPause = absl::Milliseconds(50);

}  // namespace

void SetTime(google::protobuf::Timestamp& out, std::int64_t micros) {
  out.set_seconds(micros / 1'000'000);
  out.set_nanos(static_cast<int>(micros % 1'000'000) * 1000);
}

v1::Event MakeEvent(v1::Event::Type type, const storage::v1::Envelope& envelope, const std::string& domain,
                    std::int64_t now_micros) {
  v1::Event event;
  event.set_type(type);
  SetTime(*event.mutable_time(), now_micros);
  if (const auto id = MessageId::FromBytes(envelope.message_id())) event.set_message_id(id->text());
  event.set_tenant(envelope.tenant());
  event.set_sender(envelope.sender());
  event.set_domain(domain);
  event.set_message_id_header(envelope.message_id_header());
  event.set_size_bytes(envelope.size());
  event.set_stream(envelope.stream());
  *event.mutable_tags() = envelope.tags();
  *event.mutable_metadata() = envelope.metadata();
  if (const auto of = MessageId::FromBytes(envelope.report_of())) event.set_report_of(of->text());
  return event;
}

void PutEvent(Group& group, absl::string_view id, absl::string_view event) {
  const std::uint64_t sequence = group.NextSequence();
  group.batch.Put(Family::kEvent, keys::Big64(sequence), event);
  group.batch.Put(Family::kTrace, keys::Trace(id, sequence), "");
}

bool ParseEvent(absl::string_view key, absl::string_view value, const std::string& shard, v1::Event& event) {
  if (!event.ParseFromArray(value.data(), static_cast<int>(value.size()))) return false;
  event.set_sequence(keys::ReadBig64(key));
  event.set_shard(shard);
  return true;
}

v1::RecipientState StateAfter(v1::Event::Type type) {
  switch (type) {
    case v1::Event::TYPE_ACCEPTED: return v1::RECIPIENT_STATE_QUEUED;
    case v1::Event::TYPE_DEFERRED: return v1::RECIPIENT_STATE_DEFERRED;
    case v1::Event::TYPE_DELIVERED: return v1::RECIPIENT_STATE_DELIVERED;
    case v1::Event::TYPE_BOUNCED: return v1::RECIPIENT_STATE_BOUNCED;
    case v1::Event::TYPE_EXPIRED: return v1::RECIPIENT_STATE_EXPIRED;
    case v1::Event::TYPE_CANCELLED: return v1::RECIPIENT_STATE_CANCELLED;
    case v1::Event::TYPE_SUPPRESSED: return v1::RECIPIENT_STATE_SUPPRESSED;
    default: return v1::RECIPIENT_STATE_UNSPECIFIED;
  }
}

// What the watcher holds.
class FeedHandle : public EventSubscription {
 public:
  FeedHandle(EventFeed* feed, std::shared_ptr<EventFeed::Watcher> watcher)
      : feed_(feed), watcher_(std::move(watcher)) {}
  ~FeedHandle() override { feed_->Remove(watcher_); }

 private:
  EventFeed* const feed_;
  const std::shared_ptr<EventFeed::Watcher> watcher_;
};

EventFeed::EventFeed(Store& store, std::string shard, std::uint64_t last, bool stepped)
    : store_(store), shard_(std::move(shard)), last_(last) {
  if (!stepped) thread_ = std::thread([this] { Run(); });
}

EventFeed::~EventFeed() { Stop(); }

std::unique_ptr<EventSubscription> EventFeed::Watch(const internal::v1::WatchShardRequest& request, EventSink sink,
                                                    absl::AnyInvocable<void(absl::Status)> closed) {
  auto watcher = std::make_shared<Watcher>();
  watcher->sink = std::move(sink);
  watcher->closed = std::move(closed);
  watcher->greet = request.from_now();
  bool ended;
  {
    absl::MutexLock lock(&mu_);
    watcher->next = (request.from_now() ? last_ : request.after()) + 1;
    ended = ended_;
    if (!ended) watchers_.push_back(watcher);
    changed_.Signal();
  }
  if (ended) watcher->closed(absl::UnavailableError("the shard is stopping"));
  return std::make_unique<FeedHandle>(this, std::move(watcher));
}

void EventFeed::Committed(std::uint64_t last) {
  absl::MutexLock lock(&mu_);
  if (last == last_) return;
  last_ = last;
  if (!watchers_.empty()) changed_.Signal();
}

void EventFeed::Remove(const std::shared_ptr<Watcher>& watcher) {
  absl::MutexLock lock(&mu_);
  watcher->gone = true;
  watchers_.remove(watcher);
  if (thread_.get_id() == std::this_thread::get_id()) return;  // In its own callback.
  const auto idle = [&] { return !watcher->busy; };
  mu_.Await(absl::Condition(&idle));
}

void EventFeed::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void EventFeed::Run() {
  while (true) {
    std::shared_ptr<Watcher> watcher;
    std::uint64_t last;
    bool stopping;
    {
      absl::MutexLock lock(&mu_);
      while (!stopping_ && (watcher = Next()) == nullptr) {
        if (watchers_.empty()) {
          changed_.Wait(&mu_);
        } else {
          changed_.WaitWithTimeout(&mu_, kPause);
        }
      }
      stopping = stopping_;
      if (stopping) {
        if (watchers_.empty()) {
          ended_ = true;
          return;
        }
        watcher = watchers_.front();
        watchers_.pop_front();
      }
      last = last_;
      watcher->busy = true;
    }
    if (stopping) {
      watcher->closed(absl::UnavailableError("the shard is stopping"));
    } else {
      Serve(*watcher, last);
    }
    absl::MutexLock lock(&mu_);
    watcher->busy = false;
  }
}

// A watcher that has something to read now; it goes to the end of the line.
std::shared_ptr<EventFeed::Watcher> EventFeed::Next() {
  const absl::Time now = absl::Now();
  for (auto it = watchers_.begin(); it != watchers_.end(); ++it) {
    if (!(*it)->greet && ((*it)->next > last_)) continue;
    if ((*it)->not_before > now) continue;
    watchers_.splice(watchers_.end(), watchers_, it);
    return watchers_.back();
  }
  return nullptr;
}

// `next`, `greet` and `not_before` are of this thread alone while the watcher is busy.
void EventFeed::Serve(Watcher& watcher, std::uint64_t last) {
  if (watcher.greet) {
    v1::Event begin;
    begin.set_sequence(watcher.next - 1);
    begin.set_shard(shard_);
    watcher.greet = !watcher.sink(begin);
    if (watcher.greet) watcher.not_before = absl::Now() + kPause;
    return;
  }
  const std::unique_ptr<Cursor> cursor = store_.Scan(Family::kEvent, keys::Big64(watcher.next), keys::Big64(last + 1));
  v1::Event event;
  int served = 0;
  for (; cursor != nullptr && cursor->Valid() && served < kRound; cursor->Next(), ++served) {
    if (ParseEvent(cursor->key(), cursor->value(), shard_, event) && !watcher.sink(event)) {
      watcher.not_before = absl::Now() + kPause;
      return;
    }
    watcher.next = keys::ReadBig64(cursor->key()) + 1;
    {
      absl::MutexLock lock(&mu_);
      if (watcher.gone) return;
    }
  }
  if (cursor == nullptr || !cursor->status().ok()) {
    watcher.not_before = absl::Now() + kPause;
  } else if (served < kRound) {
    watcher.next = last + 1;  // The rest is forgotten already.
  }
}

}  // namespace hikyaku::queue
