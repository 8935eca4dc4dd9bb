#include "tests/sim/wire.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/message_id.h"

namespace hikyaku::sim {
namespace {

// How long a silent peer is asked for a sign of life.
constexpr absl::Duration kKeepaliveMin = absl::Seconds(5);
constexpr absl::Duration kKeepaliveMax = absl::Seconds(18);

v1::Outcome Taken() {
  v1::Outcome outcome;
  outcome.set_kind(v1::Outcome::KIND_DELIVERED);
  outcome.set_scope(v1::Outcome::SCOPE_RECIPIENT);
  outcome.set_smtp_code(250);
  outcome.set_enhanced_code("2.0.0");
  outcome.set_text("planted");
  return outcome;
}

}  // namespace

void Wire::Open(std::string worker) {
  link_.world_.After(link_.Delay(), [self = shared_from_this(), worker = std::move(worker)] { self->Accept(worker); });
}

// The shard's end comes to life, if there is one.
void Wire::Accept(const std::string& worker) {
  if (listener_ == nullptr || shard_ended_) return;
  life_ = link_.cut() ? nullptr : link_.shard_.life();
  if (life_ == nullptr || !life_->alive) return EndWorker(absl::UnavailableError("failed to connect"));
  life_->at_end.push_back([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->EndShard();
    self->Break(self->link_.cut() ? kKeepaliveMax : self->link_.Delay(), absl::ZeroDuration());
  });
  stream_ = life_->shard->OpenLeases(worker, this);
  if (stream_ == nullptr || shard_ended_) return;
  Tell([this, time = stream_->lease_time()](queue::LeaseListener&) { lease_time_ = time; });
  Move(up_);
}

void Wire::Send(Way& way, std::function<void()> word) {
  way.words.push_back(std::move(word));
  if (!way.moving) Move(way);
}

// Words go one after another; a cut holds them up.
void Wire::Move(Way& way) {
  if (way.words.empty() || (&way == &up_ && stream_ == nullptr && !shard_ended_)) {
    way.moving = false;
    return;
  }
  way.moving = true;
  link_.world_.After(link_.Delay(), [self = shared_from_this(), &way] {
    if (!self->link_.cut() && !way.words.empty()) {
      const auto word = std::move(way.words.front());
      way.words.pop_front();
      word();
    }
    self->Move(way);
  });
}

void Wire::NoteVerdict(const internal::v1::Verdict& verdict) {
  const auto leased = leased_.find(verdict.lease());
  if (leased == leased_.end()) return link_.books_.Problem("a verdict on a lease that nobody has");
  link_.books_.tls_reports().NoteVerdict(link_.worker_, link_.shard_.index(), leased->second, verdict);
}

bool Wire::CountsTwice() { return link_.mutant == Mutant::kCountTwice && link_.world_.random.Chance(0.1); }

bool Wire::LosesVerdict() { return link_.mutant == Mutant::kLoseVerdict && link_.world_.random.Chance(0.1); }

void Wire::DropWorker() { EndWorker(absl::UnavailableError("the process ends")); }

void Wire::Say(Word word) {
  if (listener_ == nullptr || link_.dead_) return;
  Send(up_, [this, word = std::move(word)] {
    if (stream_ != nullptr && life_->alive && !shard_ended_) word(*stream_);
  });
}

void Wire::Tell(std::function<void(queue::LeaseListener&)> word) {
  Send(down_, [this, word = std::move(word)] {
    if (listener_ != nullptr) word(*listener_);
  });
}

void Wire::CloseByWorker() {
  if (std::exchange(listener_, nullptr) == nullptr) return;
  Send(up_, [this] { EndShard(); });
}

void Wire::Break(absl::Duration worker_hears, absl::Duration shard_hears) {
  if (worker_hears < absl::InfiniteDuration()) {
    link_.world_.After(worker_hears,
                       [self = shared_from_this()] { self->EndWorker(absl::UnavailableError("the stream broke")); });
  }
  if (shard_hears < absl::InfiniteDuration()) {
    link_.world_.After(shard_hears, [self = shared_from_this()] { self->EndShard(); });
  }
}

void Wire::BreakByKeepalive() {
  const auto after = [this](std::function<void()> end) {
    link_.world_.After(link_.world_.random.Between(kKeepaliveMin, kKeepaliveMax),
                       [self = shared_from_this(), end = std::move(end)] {
                         if (self->link_.cut()) end();
                       });
  };
  after([this] { EndWorker(absl::UnavailableError("keepalive: no answer")); });
  after([this] { EndShard(); });
}

// The other end hears of it behind all that was said before, as soon as the network lets it.
void Wire::EndWorker(const absl::Status& why) {
  if (listener_ == nullptr) return;
  std::exchange(listener_, nullptr)->OnClosed(why);
  Send(up_, [this] { EndShard(); });
}

void Wire::EndShard() {
  if (!std::exchange(shard_ended_, true)) {
    Send(down_, [this] { EndWorker(absl::UnavailableError("the shard ended the stream")); });
  }
  const std::unique_ptr<queue::LeaseStream> stream = std::move(stream_);
}

void Wire::OnLease(queue::Lease lease) {
  if (!life_->alive || shard_ended_) return;
  link_.books_.NoteLease(link_.worker_, link_.shard_.index(), lease.delivery.envelope(), lease.delivery.domain());
  const storage::v1::Envelope& said = lease.delivery.envelope();
  leased_[lease.id] = {MessageId::FromBytes(said.message_id())->text(), lease.delivery.domain(), said.tls_optional(),
                       link_.world_.now()};
  if (link_.mutant == Mutant::kDeleteBefore250) {
    internal::v1::Verdict verdict;
    verdict.set_lease(lease.id);
    for (int i = 0; i < lease.delivery.recipients_size(); ++i) *verdict.add_outcomes() = Taken();
    link_.world_.After(absl::ZeroDuration(), [self = shared_from_this(), verdict] {
      if (self->stream_ != nullptr && self->life_->alive) self->stream_->Report(verdict);
    });
  }
  storage::v1::Envelope& envelope = *lease.delivery.mutable_envelope();
  if (link_.mutant == Mutant::kForgetRequireTls) envelope.set_require_tls(false);
  if (link_.mutant == Mutant::kForgetWaiver) envelope.set_tls_optional(false);
  const auto shared = std::make_shared<queue::Lease>(std::move(lease));
  Tell([shared](queue::LeaseListener& listener) { listener.OnLease(*shared); });
}

void Wire::OnRecorded(std::uint64_t lease) {
  if (!life_->alive) return;
  Tell([lease](queue::LeaseListener& listener) { listener.OnRecorded(lease); });
}

void Wire::OnRevoked(std::uint64_t lease) {
  if (!life_->alive) return;
  Tell([lease](queue::LeaseListener& listener) { listener.OnRevoked(lease); });
}

void Wire::OnClosed(absl::Status why) {
  if (!life_->alive || absl::IsCancelled(why)) return;
  // Not from within the shard's own call.
  link_.world_.After(absl::ZeroDuration(), [self = shared_from_this()] { self->EndShard(); });
}

}  // namespace hikyaku::sim
