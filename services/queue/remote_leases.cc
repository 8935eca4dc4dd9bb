#include "services/queue/remote_leases.h"

#include <memory>
#include <utility>

#include "services/common/grpc_status.h"

namespace hikyaku::queue {

using internal::v1::ShardMessage;
using internal::v1::WorkerMessage;

namespace {

WorkerMessage Credit(std::uint32_t leases) {
  WorkerMessage word;
  word.mutable_credit()->set_leases(leases);
  return word;
}

WorkerMessage Said(internal::v1::Verdict verdict) {
  WorkerMessage word;
  *word.mutable_verdict() = std::move(verdict);
  return word;
}

}  // namespace

RemoteLeases::RemoteLeases(internal::v1::QueueService::Stub& stub, std::string worker, LeaseListener* listener)
    : listener_(listener) {
  stub.async()->Lease(&context_, this);
  AddHold();  // Writes come from outside of gRPC's reactions.
  StartRead(&incoming_);
  StartCall();
  WorkerMessage hello;
  hello.mutable_hello()->set_worker(std::move(worker));
  hello.mutable_hello()->set_reads_more(true);
  Send(std::move(hello));
}

RemoteLeases::~RemoteLeases() { Close(); }

void RemoteLeases::Grant(std::uint32_t leases) { Send(Credit(leases)); }

void RemoteLeases::Report(internal::v1::Verdict verdict) { Send(Said(std::move(verdict))); }

void RemoteLeases::ReportAndGrant(internal::v1::Verdict verdict, std::uint32_t leases) {
  Send(Said(std::move(verdict)), Credit(leases));
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

template <typename... Words>
void RemoteLeases::Send(Words... words) {
  absl::MutexLock lock(&mutex_);
  if (broken_) return;
  (outgoing_.Add(std::move(words)), ...);
  if (const WorkerMessage* next = outgoing_.Next()) StartWrite(next);
}

void RemoteLeases::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    if (ok && !broken_) {
      outgoing_.Written();
      if (const WorkerMessage* next = outgoing_.Next()) StartWrite(next);
      return;
    }
  }
  EndWrites();
}

void RemoteLeases::OnReadDone(bool ok) {
  if (!ok) return EndWrites();
  Hear(incoming_);
  for (ShardMessage& word : *incoming_.mutable_more()) Hear(word);
  listener_->OnPause();
  incoming_.Clear();
  StartRead(&incoming_);
}

void RemoteLeases::Hear(ShardMessage& word) {
  switch (word.kind_case()) {
    case ShardMessage::kLease: {
      queue::Lease lease;
      lease.id = word.lease().lease();
      lease.delivery = std::move(*word.mutable_lease()->mutable_delivery());
      lease.body = std::make_shared<const std::string>(std::move(*word.mutable_lease()->mutable_body()));
      return listener_->OnLease(std::move(lease));
    }
    case ShardMessage::kRecorded: return listener_->OnRecorded(word.recorded());
    case ShardMessage::kRevoked: return listener_->OnRevoked(word.revoked());
    case ShardMessage::kWelcome: return Begin(word.welcome());
    default: return;  // A newer shard's word: nothing of ours hangs on it.
  }
}

void RemoteLeases::Begin(const internal::v1::Welcome& welcome) {
  lease_micros_.store(welcome.lease_timeout_micros());
  if (!welcome.reads_more()) return;
  absl::MutexLock lock(&mutex_);
  outgoing_.Join();
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
