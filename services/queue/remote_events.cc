#include "services/queue/remote_events.h"

#include <chrono>
#include <utility>

#include "services/common/grpc_status.h"

namespace hikyaku::queue {
namespace {

constexpr std::chrono::milliseconds kPause{50};

}  // namespace

RemoteEvents::RemoteEvents(internal::v1::QueueService::Stub& stub, internal::v1::WatchShardRequest request,
                           EventSink sink, absl::AnyInvocable<void(absl::Status)> closed)
    : request_(std::move(request)), sink_(std::move(sink)), closed_(std::move(closed)) {
  stub.async()->WatchEvents(&context_, &request_, this);
  AddHold();  // While the sink is full, no operation of gRPC's is under way.
  StartRead(&event_);
  StartCall();
}

RemoteEvents::~RemoteEvents() {
  stopping_.store(true);
  context_.TryCancel();
  again_.Cancel();
  done_.WaitForNotification();
}

void RemoteEvents::OnReadDone(bool ok) {
  if (!ok) return RemoveHold();
  Offer();
}

void RemoteEvents::Offer() {
  if (stopping_.load()) return RemoveHold();
  if (sink_(event_)) {
    event_.Clear();
    return StartRead(&event_);
  }
  again_.Set(std::chrono::system_clock::now() + kPause, [this](bool) { Offer(); });
}

void RemoteEvents::OnDone(const grpc::Status& status) {
  closed_(stopping_.load() ? absl::CancelledError("the watcher has gone")
                           : absl::UnavailableError(status.error_message()));
  done_.Notify();
}

}  // namespace hikyaku::queue
