#include "services/queue/lease_reactor.h"

#include <thread>
#include <utility>

#include "services/common/grpc_status.h"

namespace hikyaku::queue {

using internal::v1::ShardMessage;
using internal::v1::WorkerMessage;

LeaseReactor::LeaseReactor(Shard& shard, hikyaku::Gate& gate) : shard_(shard), gate_(gate) {
  gate_.Enter();
  StartRead(&incoming_);
}

void LeaseReactor::OnReadDone(bool ok) {
  if (!ok) return FinishOnce(grpc::Status::OK);  // The worker has closed its side.
  Handle(incoming_);
  incoming_.Clear();
  StartRead(&incoming_);
}

void LeaseReactor::Handle(WorkerMessage& message) {
  if (message.has_hello()) {
    if (stream_ != nullptr) return FinishOnce({grpc::StatusCode::INVALID_ARGUMENT, "a second Hello on one stream"});
    stream_ = shard_.OpenLeases(message.hello().worker(), this);
    ShardMessage welcome;
    welcome.mutable_welcome()->set_shard(std::string(shard_.name()));
    welcome.mutable_welcome()->set_lease_timeout_micros(absl::ToInt64Microseconds(stream_->lease_time()));
    return Send(std::move(welcome));
  }
  if (stream_ == nullptr) return FinishOnce({grpc::StatusCode::INVALID_ARGUMENT, "the stream must begin with Hello"});
  switch (message.kind_case()) {
    case WorkerMessage::kCredit: return stream_->Grant(message.credit().leases());
    case WorkerMessage::kVerdict: return stream_->Report(std::move(*message.mutable_verdict()));
    case WorkerMessage::kRenew: return stream_->Renew();
    case WorkerMessage::kGiveBack: return stream_->GiveBack(message.give_back().lease());
    default: return;  // A newer worker's message: nothing of ours hangs on it.
  }
}

void LeaseReactor::OnLease(queue::Lease lease) {
  ShardMessage message;
  internal::v1::LeaseGrant& grant = *message.mutable_lease();
  grant.set_lease(lease.id);
  *grant.mutable_delivery() = std::move(lease.delivery);
  grant.set_body(*lease.body);
  Send(std::move(message));
}

void LeaseReactor::OnRecorded(std::uint64_t lease) {
  ShardMessage message;
  message.set_recorded(lease);
  Send(std::move(message));
}

void LeaseReactor::OnRevoked(std::uint64_t lease) {
  ShardMessage message;
  message.set_revoked(lease);
  Send(std::move(message));
}

void LeaseReactor::OnClosed(absl::Status why) {
  FinishOnce(absl::IsCancelled(why) ? grpc::Status::OK : ToGrpcStatus(why));
}

void LeaseReactor::Send(ShardMessage message) {
  absl::MutexLock lock(&mutex_);
  if (finished_) return;
  outgoing_.push_back(std::move(message));
  if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
}

void LeaseReactor::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  outgoing_.pop_front();
  if (!ok || finished_) return;  // The call is breaking: OnCancel or OnReadDone ends it.
  if (!outgoing_.empty()) StartWrite(&outgoing_.front());
}

void LeaseReactor::OnCancel() { FinishOnce({grpc::StatusCode::CANCELLED, "the worker has gone"}); }

void LeaseReactor::FinishOnce(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(finished_, true)) return;
  Finish(status);
}

void LeaseReactor::OnDone() {
  // Close waits for the listener's last callback, which may be the one that brought us here: so not on this thread.
  std::thread([this] {
    if (stream_ != nullptr) stream_->Close();
    stream_.reset();
    hikyaku::Gate& gate = gate_;
    delete this;
    gate.Leave();
  }).detach();
}

}  // namespace hikyaku::queue
