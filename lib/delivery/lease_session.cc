#include "lib/delivery/lease_session.h"

#include <algorithm>

#include "lib/base/log.h"
#include "lib/net/limit.h"

namespace hikyaku::delivery {
namespace {

// How often to renew while the shard has not told its lease time, and at the least.
constexpr absl::Duration kFirstRenew = absl::Seconds(1);
constexpr absl::Duration kLongestRenew = absl::Seconds(20);

}  // namespace

bool HeldLease::Begin() {
  State expected = State::kHeld;
  return state_.compare_exchange_strong(expected, State::kBegun) || expected == State::kBegun;
}

bool HeldLease::alive() const { return state_.load() != State::kOver && session_->fresh(); }

bool HeldLease::Withdraw() {
  State expected = State::kHeld;
  return state_.compare_exchange_strong(expected, State::kOver);
}

std::shared_ptr<LeaseSession> LeaseSession::Open(queue::Shard& shard, std::string worker, OnHeld on_held) {
  std::shared_ptr<LeaseSession> session(new LeaseSession(shard, std::move(on_held)));
  session->stream_ = shard.OpenLeases(std::move(worker), session.get());
  return session;
}

LeaseSession::~LeaseSession() { Close(); }

void LeaseSession::Close() {
  if (stream_ != nullptr) stream_->Close();
  OnClosed(absl::CancelledError("closed by the worker"));
}

awaitable<absl::Status> LeaseSession::WaitForEnd() {
  while (!ended_.load()) {
    const absl::Duration every = RenewEvery();
    const auto woken = co_await net::AwaitCallbackWithin<bool>(every, [this](Wake wake) { WakeBy(std::move(wake)); });
    if (absl::IsCancelled(woken.status())) co_return woken.status();
    if (ended_.load() || !HoldsAny()) continue;
    Speak();
    stream_->Renew();
  }
  co_return absl::OkStatus();
}

absl::Duration LeaseSession::RenewEvery() const {
  const absl::Duration lease_time = stream_->lease_time();
  if (lease_time <= absl::ZeroDuration()) return kFirstRenew;
  return std::min(lease_time / 3, kLongestRenew);
}

bool LeaseSession::fresh() const {
  const absl::Duration lease_time = stream_->lease_time();
  absl::MutexLock lock(&mutex_);
  return lease_time <= absl::ZeroDuration() || -net::LeftUntil(spoke_) < lease_time;
}

void LeaseSession::Speak() {
  const bool in_time = fresh();
  absl::MutexLock lock(&mutex_);
  if (!in_time) {
    for (const auto& [id, held] : held_) held->Lose();
  }
  spoke_ = net::SteadyClock::now();
}

void LeaseSession::Grant(std::uint32_t leases) {
  Speak();
  stream_->Grant(leases);
}

void LeaseSession::WakeBy(Wake wake) {
  absl::MutexLock lock(&mutex_);
  wake_.clear();
  if (ended_.load()) {
    wake(true);
  } else {
    wake_.push_back(std::move(wake));
  }
}

// Also of a lease that was lost after its transaction: the shard counts it, and this may be a duplicate in the making.
void LeaseSession::Report(const HeldLease& held, internal::v1::Verdict verdict, bool more) {
  const std::uint64_t id = held.lease().id;
  bool lost = false;
  {
    absl::MutexLock lock(&mutex_);
    lost = !held_.contains(id);
  }
  if (lost) log::Warn("verdict_of_lost_lease", {{"domain", held.lease().delivery.domain()}});
  verdict.set_lease(id);
  Speak();
  if (more) {
    stream_->ReportAndGrant(std::move(verdict), 1);
  } else {
    stream_->Report(std::move(verdict));
  }
}

void LeaseSession::GiveBack(const HeldLease& held, bool more) {
  Speak();
  if (Remove(held.lease().id) != nullptr) stream_->GiveBack(held.lease().id);
  if (more) Grant(1);
}

// One that ran out by our clock may still be ours by the shard's: then it must hear that we do not go on.
void LeaseSession::Forget(const HeldLease& held, bool more) { GiveBack(held, more); }

void LeaseSession::GiveBackUnbegun() {
  std::vector<std::uint64_t> back;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, held] : held_) {
      if (held->Withdraw()) back.push_back(id);
    }
  }
  std::sort(back.begin(), back.end());
  for (const std::uint64_t id : back) {
    if (Remove(id) != nullptr) stream_->GiveBack(id);
  }
}

bool LeaseSession::WaitUntilEmpty(absl::Duration limit) {
  absl::MutexLock lock(&mutex_);
  const auto empty = [](Leases* held) { return held->empty(); };
  return mutex_.AwaitWithTimeout(absl::Condition(+empty, &held_), limit);
}

bool LeaseSession::connected() const { return !ended_.load() && stream_->lease_time() > absl::ZeroDuration(); }

bool LeaseSession::HoldsAny() const {
  absl::MutexLock lock(&mutex_);
  return !held_.empty();
}

std::shared_ptr<HeldLease> LeaseSession::Remove(std::uint64_t lease) {
  absl::MutexLock lock(&mutex_);
  const auto found = held_.find(lease);
  if (found == held_.end()) return nullptr;
  std::shared_ptr<HeldLease> held = std::move(found->second);
  held_.erase(found);
  return held;
}

void LeaseSession::OnLease(queue::Lease lease) {
  const std::uint64_t id = lease.id;
  auto held = std::make_shared<HeldLease>(std::move(lease), shared_from_this());
  {
    absl::MutexLock lock(&mutex_);
    if (ended_.load()) return;
    if (held_.empty()) spoke_ = net::SteadyClock::now();
    held_[id] = held;
  }
  on_held_(std::move(held));
}

void LeaseSession::OnRecorded(std::uint64_t lease) { Remove(lease); }

void LeaseSession::OnRevoked(std::uint64_t lease) {
  if (const std::shared_ptr<HeldLease> held = Remove(lease)) held->Lose();
}

void LeaseSession::OnClosed(absl::Status why) {
  Leases lost;
  std::vector<Wake> wake;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_.exchange(true)) return;
    lost.swap(held_);
    wake.swap(wake_);
  }
  for (auto& [id, held] : lost) held->Lose();
  for (const Wake& waiting : wake) waiting(true);
  if (!absl::IsCancelled(why)) log::Warn("lease_stream_ended", {{"why", why}, {"lost_leases", lost.size()}});
}

}  // namespace hikyaku::delivery
