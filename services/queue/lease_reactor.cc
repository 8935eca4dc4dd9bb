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
  for (WorkerMessage& word : *incoming_.mutable_more()) Handle(word);
  if (const std::uint32_t credit = std::exchange(credit_, 0); credit > 0) stream_->Grant(credit);
  incoming_.Clear();
  StartRead(&incoming_);
}

void LeaseReactor::Handle(WorkerMessage& word) {
  if (word.has_hello()) return Begin(word.hello());
  if (stream_ == nullptr) return FinishOnce({grpc::StatusCode::INVALID_ARGUMENT, "the stream must begin with Hello"});
  switch (word.kind_case()) {
    case WorkerMessage::kCredit: credit_ += word.credit().leases(); return;
    case WorkerMessage::kVerdict: return stream_->Report(std::move(*word.mutable_verdict()));
    case WorkerMessage::kRenew: return stream_->Renew();
    case WorkerMessage::kGiveBack: return stream_->GiveBack(word.give_back().lease());
    default: return;  // A newer worker's word: nothing of ours hangs on it.
  }
}

void LeaseReactor::Begin(const internal::v1::Hello& hello) {
  if (stream_ != nullptr) return FinishOnce({grpc::StatusCode::INVALID_ARGUMENT, "a second Hello on one stream"});
  if (hello.reads_more()) {
    absl::MutexLock lock(&mutex_);
    outgoing_.Join();
  }
  stream_ = shard_.OpenLeases(hello.worker(), this);
  ShardMessage word;
  internal::v1::Welcome& welcome = *word.mutable_welcome();
  welcome.set_shard(std::string(shard_.name()));
  welcome.set_lease_timeout_micros(absl::ToInt64Microseconds(stream_->lease_time()));
  welcome.set_reads_more(true);
  Say(std::move(word));
  OnPause();
}

void LeaseReactor::OnLease(queue::Lease lease) {
  ShardMessage word;
  internal::v1::LeaseGrant& grant = *word.mutable_lease();
  grant.set_lease(lease.id);
  *grant.mutable_delivery() = std::move(lease.delivery);
  grant.set_body(*lease.body);
  Say(std::move(word));
}

void LeaseReactor::OnRecorded(std::uint64_t lease) {
  ShardMessage word;
  word.set_recorded(lease);
  Say(std::move(word));
}

void LeaseReactor::OnRevoked(std::uint64_t lease) {
  ShardMessage word;
  word.set_revoked(lease);
  Say(std::move(word));
}

void LeaseReactor::OnPause() {
  absl::MutexLock lock(&mutex_);
  WriteOn();
}

void LeaseReactor::OnClosed(absl::Status why) {
  FinishOnce(absl::IsCancelled(why) ? grpc::Status::OK : ToGrpcStatus(why));
}

void LeaseReactor::Say(ShardMessage word) {
  absl::MutexLock lock(&mutex_);
  if (!finished_) outgoing_.Add(std::move(word));
}

void LeaseReactor::WriteOn() {
  if (finished_) return;
  if (const ShardMessage* next = outgoing_.Next()) StartWrite(next);
}

void LeaseReactor::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  if (!ok) return;  // The call is breaking: OnCancel or OnReadDone ends it.
  outgoing_.Written();
  WriteOn();
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
