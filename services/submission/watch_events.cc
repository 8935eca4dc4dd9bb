// MailService.WatchEvents: the events of all shards in one stream, each with a cursor that says how far every shard has
// been told. A shard that goes away is asked again from where it stopped.
#include <grpcpp/alarm.h>

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lib/base/log.h"
#include "lib/submission/failure.h"
#include "lib/submission/field_checker.h"
#include "services/submission/event_cursor.h"
#include "services/submission/grpc_status.h"
#include "services/submission/mail_service.h"

namespace hikyaku::submission {
namespace {

using Reactor = grpc::ServerWriteReactor<v1::WatchEventsResponse>;

// Events that wait for the client; when it is slower, the shards wait.
constexpr std::size_t kBuffer = 256;
constexpr std::chrono::seconds kResubscribe{1};

class WatchStream : public Reactor, public CallGate::Stream {
 public:
  WatchStream(const Cluster* cluster, CallGate* gate, const v1::WatchEventsRequest& request, EventCursor cursor)
      : gate_(gate), core_(std::make_shared<Core>(cluster->shards(), request.tenant(), std::move(cursor))) {
    for (const int type : request.types()) core_->types.insert(type);
    core_->stream = this;
  }

  void Begin() { core_->SubscribeAll(); }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(core_->mutex);
    core_->writing = false;
    core_->buffer.pop_front();
    core_->Advance();
  }

  void OnCancel() override { End(absl::CancelledError()); }
  void OnStopping() override { End(CallGate::Stopping()); }

  bool StuckSince(absl::Time then) override {
    std::lock_guard lock(core_->mutex);
    return core_->ended && core_->started <= then;
  }

  // Unsubscribing waits for callbacks of gRPC's, which may stand behind this one in the line of its thread; as may the
  // answers of the shards to everybody else. So not on this thread.
  void OnDone() override {
    std::thread([this] {
      core_->Unsubscribe();
      gate_->Leave(this);
      delete this;
    }).detach();
  }

 private:
  // Shared with the callbacks of shards and alarms, which may come after the stream has gone.
  struct Core : std::enable_shared_from_this<Core> {
    Core(std::vector<queue::Shard*> of, std::string tenant, EventCursor from)
        : shards(std::move(of)),
          tenant(std::move(tenant)),
          cursor(std::move(from)),
          subscriptions(shards.size()),
          alarms(shards.size()) {}

    void SubscribeAll() {
      for (std::size_t i = 0; i < shards.size(); ++i) Subscribe(i);
    }

    void Subscribe(std::size_t index) {
      queue::Shard& shard = *shards[index];
      internal::v1::WatchShardRequest request;
      {
        std::lock_guard lock(mutex);
        const auto position = cursor.Position(shard.name());
        request.set_from_now(!position.has_value());
        request.set_after(position.value_or(0));
      }
      auto subscription = shard.WatchEvents(
          request,
          [self = shared_from_this(), name = std::string(shard.name())](const v1::Event& event) {
            return self->Take(name, event);
          },
          [self = shared_from_this(), index](absl::Status why) { self->OnClosed(index, why); });
      std::lock_guard lock(mutex);
      // The one before, if any, has told its end; where the stream has ended meanwhile, Unsubscribe will not come
      // again, and the new one is ended elsewhere: this may be gRPC's thread, see OnDone.
      if (!ended) return std::swap(subscriptions[index], subscription);
      std::thread([late = std::move(subscription)]() mutable { late.reset(); }).detach();
    }

    // False: the buffer is full, the shard offers the event again.
    bool Take(const std::string& shard, const v1::Event& event) {
      std::lock_guard lock(mutex);
      if (ended) return true;
      if (buffer.size() >= kBuffer) return false;
      cursor.Advance(shard, event.sequence());
      if (!Wanted(event)) return true;
      v1::WatchEventsResponse& response = buffer.emplace_back();
      *response.mutable_event() = event;
      response.set_cursor(cursor.Encode());
      Advance();
      return true;
    }

    bool Wanted(const v1::Event& event) const {
      if (event.type() == v1::Event::TYPE_UNSPECIFIED) return false;  // Where the watch begins, see queue.proto.
      return (types.empty() || types.contains(event.type())) && (tenant.empty() || event.tenant() == tenant);
    }

    void OnClosed(std::size_t index, const absl::Status& why) {
      std::lock_guard lock(mutex);
      if (ended) return;
      log::Info("watch_interrupted", {{"shard", shards[index]->name()}, {"why", why}});
      alarms[index] = std::make_unique<grpc::Alarm>();
      alarms[index]->Set(std::chrono::system_clock::now() + kResubscribe, [weak = weak_from_this(), index](bool fired) {
        const auto self = weak.lock();
        if (fired && self != nullptr && !self->Ended()) self->Subscribe(index);
      });
    }

    bool Ended() {
      std::lock_guard lock(mutex);
      return ended;
    }

    // Under the mutex. After Finish the stream may be gone.
    void Advance() {
      if (stream == nullptr || writing) return;
      if (ended) {
        started = absl::Now();
        std::exchange(stream, nullptr)->Finish(ToGrpc(why));
      } else if (!buffer.empty()) {
        writing = true;
        started = absl::Now();
        stream->StartWrite(&buffer.front());
      }
    }

    // Destroying a subscription waits for its callback, which wants the mutex.
    void Unsubscribe() {
      std::vector<std::unique_ptr<queue::EventSubscription>> subscriptions_then;
      std::vector<std::unique_ptr<grpc::Alarm>> alarms_then;
      std::lock_guard lock(mutex);
      subscriptions.swap(subscriptions_then);
      alarms.swap(alarms_then);
    }

    const std::vector<queue::Shard*> shards;
    const std::string tenant;
    absl::flat_hash_set<int> types;  // Empty: all.

    std::mutex mutex;
    EventCursor cursor;  // Of the last event in the buffer.
    std::deque<v1::WatchEventsResponse> buffer;
    std::vector<std::unique_ptr<queue::EventSubscription>> subscriptions;
    std::vector<std::unique_ptr<grpc::Alarm>> alarms;
    WatchStream* stream = nullptr;
    bool writing = false;
    bool ended = false;
    absl::Time started;  // The last write, or Finish.
    absl::Status why;
  };

  void End(absl::Status why) {
    std::lock_guard lock(core_->mutex);
    if (std::exchange(core_->ended, true)) return;
    core_->why = std::move(why);
    core_->Advance();
  }

  CallGate* const gate_;
  const std::shared_ptr<Core> core_;
};

absl::Status CheckFilter(const v1::WatchEventsRequest& request) {
  FieldChecker check;
  for (int i = 0; i < request.types_size(); ++i) {
    const bool known = v1::Event::Type_IsValid(request.types(i)) && request.types(i) != v1::Event::TYPE_UNSPECIFIED;
    if (!known) check.Refuse(absl::StrCat("types[", i, "]"), "is not a type of event");
  }
  check.Label("tenant", request.tenant());
  return check.ok() ? absl::OkStatus() : FieldFailure(absl::StatusCode::kInvalidArgument, check.errors());
}

class RefusedWatch : public Reactor {
 public:
  explicit RefusedWatch(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerWriteReactor<v1::WatchEventsResponse>* MailService::WatchEvents(grpc::CallbackServerContext*,
                                                                            const v1::WatchEventsRequest* request) {
  if (const absl::Status filter = CheckFilter(*request); !filter.ok()) return new RefusedWatch(ToGrpc(filter));
  auto cursor = EventCursor::Parse(request->cursor());
  if (!cursor.ok()) return new RefusedWatch(ToGrpc(cursor.status()));
  auto stream = std::make_unique<WatchStream>(cluster_, gate_, *request, *std::move(cursor));
  if (!gate_->Enter(stream.get())) return new RefusedWatch(ToGrpc(CallGate::Stopping()));
  stream->Begin();
  return stream.release();
}

}  // namespace hikyaku::submission
