#include "services/queue/remote_leases.h"

#include <memory>
#include <utility>

#include "services/common/grpc_status.h"

namespace hikyaku::queue {

using internal::v1::ShardMessage;
using internal::v1::WorkerMessage;

RemoteLeases::RemoteLeases(internal::v1::QueueService::Stub& stub, std::string worker, LeaseListener* listener)
    : listener_(listener) {
  stub.async()->Lease(&context_, this);
  AddHold();  // Writes come from outside of gRPC's reactions.
  StartRead(&incoming_);
  StartCall();
  WorkerMessage hello;
  hello.mutable_hello()->set_worker(std::move(worker));
  Send(std::move(hello));
}

RemoteLeases::~RemoteLeases() { Close(); }

void RemoteLeases::Grant(std::uint32_t leases) {
  WorkerMessage message;
  message.mutable_credit()->set_leases(leases);
  Send(std::move(message));
}

void RemoteLeases::Report(internal::v1::Verdict verdict) {
  WorkerMessage message;
  *message.mutable_verdict() = std::move(verdict);
  Send(std::move(message));
}

void RemoteLeases::GiveBack(std::uint64_t lease) {
  WorkerMessage message;
  message.mutable_give_back()->set_lease(lease);
  Send(std::move(message));
}

void RemoteLeases::Renew() {
  WorkerMessage message;
  message.mutable_renew();
  Send(std::move(message));
}

absl::Duration RemoteLeases::lease_time() const { return absl::Microseconds(lease_micros_.load()); }

void RemoteLeases::Close() {
  context_.TryCancel();
  EndWrites();
  done_.WaitForNotification();
}

void RemoteLeases::Send(WorkerMessage message) {
  absl::MutexLock lock(&mutex_);
  if (broken_) return;
  outgoing_.push_back(std::move(message));
  if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
}

void RemoteLeases::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    outgoing_.pop_front();
    if (ok && !broken_) {
      if (!outgoing_.empty()) StartWrite(&outgoing_.front());
      return;
    }
  }
  EndWrites();
}

void RemoteLeases::OnReadDone(bool ok) {
  if (!ok) return EndWrites();
  Hear(incoming_);
  incoming_.Clear();
  StartRead(&incoming_);
}

void RemoteLeases::Hear(ShardMessage& message) {
  switch (message.kind_case()) {
    case ShardMessage::kLease: {
      queue::Lease lease;
      lease.id = message.lease().lease();
      lease.delivery = std::move(*message.mutable_lease()->mutable_delivery());
      lease.body = std::make_shared<const std::string>(std::move(*message.mutable_lease()->mutable_body()));
      return listener_->OnLease(std::move(lease));
    }
    case ShardMessage::kRecorded: return listener_->OnRecorded(message.recorded());
    case ShardMessage::kRevoked: return listener_->OnRevoked(message.revoked());
    case ShardMessage::kWelcome: lease_micros_.store(message.welcome().lease_timeout_micros()); return;
    default: return;  // A newer shard's message: nothing of ours hangs on it.
  }
}

void RemoteLeases::EndWrites() {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(broken_, true)) return;
  }
  RemoveHold();
}

void RemoteLeases::OnDone(const grpc::Status& status) {
  if (status.ok() || status.error_code() == grpc::StatusCode::CANCELLED) {
    // OK: the shard ended the stream in order; only our own cancel is a cancel.
    listener_->OnClosed(status.ok() ? absl::UnavailableError("the shard ended the stream")
                                    : absl::CancelledError("closed"));
  } else {
    listener_->OnClosed(absl::UnavailableError(status.error_message()));
  }
  done_.Notify();
}

}  // namespace hikyaku::queue
