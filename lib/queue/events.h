// The stream of events: made here, written with the change that they tell, read back by sequence.
//
// Threading: EventFeed is safe from every thread; the functions are pure or run where the Group is.
#ifndef HIKYAKU_LIB_QUEUE_EVENTS_H_
#define HIKYAKU_LIB_QUEUE_EVENTS_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "lib/queue/committer.h"
#include "lib/queue/shard.h"
#include "lib/queue/store.h"

namespace hikyaku::queue {

void SetTime(google::protobuf::Timestamp& out, std::int64_t micros);

// An event of a delivery, without recipients and outcome. Sequence and shard are not stored: the key and the store say
// them.
v1::Event MakeEvent(v1::Event::Type type, const storage::v1::Envelope& envelope, const std::string& domain,
                    std::int64_t now_micros);

// Writes a serialised event under the next sequence, and its place in the trace of message `id`.
void PutEvent(Group& group, absl::string_view id, absl::string_view event);

// From a key and a value of the family `event`.
bool ParseEvent(absl::string_view key, absl::string_view value, const std::string& shard, v1::Event& event);

// Whether the event ends its recipients, and the state that it puts them in.
v1::RecipientState StateAfter(v1::Event::Type type);

// Hands events to their watchers. Each watcher reads from the disk at its own pace; a slow one delays only itself.
class EventFeed {
 public:
  // `stepped`: without a thread, which has no watchers either.
  EventFeed(Store& store, std::string shard, std::uint64_t last, bool stepped = false);
  ~EventFeed();

  // After Stop, `closed` is called before this returns.
  std::unique_ptr<EventSubscription> Watch(const internal::v1::WatchShardRequest& request, EventSink sink,
                                           absl::AnyInvocable<void(absl::Status)> closed);

  // Every event up to `last` is on disk.
  void Committed(std::uint64_t last);

  // Closes every watch with kUnavailable and ends the thread.
  void Stop();

 private:
  friend class FeedHandle;
  struct Watcher {
    std::uint64_t next = 0;  // The sequence wanted.
    bool greet = false;      // Wants the event without a type first.
    bool busy = false;       // The feed's thread is in a callback.
    bool gone = false;
    absl::Time not_before = absl::InfinitePast();
    EventSink sink;
    absl::AnyInvocable<void(absl::Status)> closed;
  };
  using Watchers = std::list<std::shared_ptr<Watcher>>;

  void Run();
  std::shared_ptr<Watcher> Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Serve(Watcher& watcher, std::uint64_t last) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::shared_ptr<Watcher>& watcher);

  Store& store_;
  const std::string shard_;
  absl::Mutex mu_;
  absl::CondVar changed_;
  Watchers watchers_ ABSL_GUARDED_BY(mu_);
  std::uint64_t last_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;  // Nobody serves watchers any more.
  std::thread thread_;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_EVENTS_H_
