#include "lib/queue/local_leases.h"

#include <utility>

#include "lib/queue/verdict.h"

namespace hikyaku::queue {
namespace {

class LocalLeaseStream : public LeaseStream {
 public:
  LocalLeaseStream(std::shared_ptr<Engine> engine, std::shared_ptr<Stream> stream)
      : owner_(std::move(engine)), engine_(*owner_), stream_(std::move(stream)) {}
  ~LocalLeaseStream() override { Close(); }

  void Grant(std::uint32_t leases) override {
    {
      absl::MutexLock lock(&engine_.mu);
      if (stream_->closed) return;
      Leases::Heard(*stream_, engine_.LeaseClock());
      stream_->credits += leases;
    }
    engine_.Dispatch();
  }

  void Report(internal::v1::Verdict verdict) override { Take(std::move(verdict), 0); }

  void ReportAndGrant(internal::v1::Verdict verdict, std::uint32_t leases) override {
    Take(std::move(verdict), leases);
    engine_.Dispatch();
  }

  void GiveBack(std::uint64_t lease) override {
    {
      absl::MutexLock lock(&engine_.mu);
      Leases::Heard(*stream_, engine_.LeaseClock());
      const ItemPtr item = Held(lease);
      if (item == nullptr) return;
      if (item->state == ItemState::kEnding) return engine_.leases.Unassign(*item);  // The purge settles the rest.
      engine_.TakeBack(item, /*lost=*/false);
    }
    engine_.Dispatch();
  }

  void Renew() override {
    absl::MutexLock lock(&engine_.mu);
    Leases::Heard(*stream_, engine_.LeaseClock());
  }

  absl::Duration lease_time() const override { return engine_.options.lease_timeout; }

  void Close() override { engine_.CloseStream(*stream_, absl::CancelledError("closed by the worker")); }

 private:
  void Take(internal::v1::Verdict verdict, std::uint32_t leases) {
    ItemPtr item;
    {
      absl::MutexLock lock(&engine_.mu);
      Leases::Heard(*stream_, engine_.LeaseClock());
      if (!stream_->closed) stream_->credits += leases;
      item = Held(verdict.lease());
      if (item == nullptr || item->delivery == nullptr) {
        engine_.metrics.late_verdicts.Increment();
        return;
      }
      item->state = ItemState::kReporting;
    }
    auto operation = MakeVerdict(engine_, std::move(item), std::move(verdict));
    engine_.committer.Push(std::move(operation));
  }

  // The item while the worker may still speak of it: also if a purge is about to end it.
  ItemPtr Held(std::uint64_t lease) const ABSL_SHARED_LOCKS_REQUIRED(engine_.mu) {
    const auto it = stream_->leases.find(lease);
    return it == stream_->leases.end() || it->second->state == ItemState::kReporting ? nullptr : it->second;
  }

  const std::shared_ptr<Engine> owner_;  // So that a late destruction finds a stopped engine, not a freed one.
  Engine& engine_;
  const std::shared_ptr<Stream> stream_;
};

}  // namespace

std::unique_ptr<LeaseStream> MakeLocalLeases(std::shared_ptr<Engine> engine, std::shared_ptr<Stream> stream) {
  return std::make_unique<LocalLeaseStream>(std::move(engine), std::move(stream));
}

}  // namespace hikyaku::queue
