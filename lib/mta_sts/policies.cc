#include "lib/mta_sts/policies.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/status_macros.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::mta_sts {
namespace {

// A shard that has given us a lease answers at once; where it does not, the mail goes on without it.
constexpr absl::Duration kAskLimit = absl::Seconds(2);
// Mail waits for it; a write that is later is made all the same.
constexpr absl::Duration kKeepLimit = absl::Seconds(5);

metrics::Counter& Fetches(FetchResult result) {
  return metrics::DeclareCounter("hikyaku_mta_sts_fetches_total", "Fetches of MTA-STS policies, by what came of them.",
                                 {{"result", std::string(FetchResultName(result))}});
}

metrics::Counter& Holding(Mode mode) {
  return metrics::DeclareCounter("hikyaku_mta_sts_policies_total",
                                 "Attempts for whose domain an MTA-STS policy holds, by its mode.",
                                 {{"mode", std::string(ModeName(mode))}});
}

struct Metrics {
  metrics::Counter& enforce = Holding(Mode::kEnforce);
  metrics::Counter& testing = Holding(Mode::kTesting);
  metrics::Counter& none = Holding(Mode::kNone);

  void Count(Mode mode) { (mode == Mode::kEnforce ? enforce : mode == Mode::kTesting ? testing : none).Increment(); }
};

Metrics& Count() {
  static Metrics* const metrics = new Metrics;
  return *metrics;
}

bool Alive(const std::shared_ptr<const KeptPolicy>& policy, absl::Time now) {
  return policy != nullptr && now < policy->expires;
}

bool Aged(const KeptPolicy& policy, absl::Time now) {
  return now - policy.fetched >= (policy.expires - policy.fetched) / 2;
}

bool Rests(const FailedFetch& failed, const std::string& id, absl::Time now) {
  return failed.id == id && now < failed.until;
}

// Nothing where the record is not what we write: as if it were not there.
std::shared_ptr<const KeptPolicy> FromRecord(const storage::v1::StsPolicy& record) {
  auto policy = ParsePolicy(record.text());
  if (!policy.ok()) return nullptr;
  return std::make_shared<const KeptPolicy>(KeptPolicy{*std::move(policy), record.id(),
                                                       absl::FromUnixMicros(record.fetched_micros()),
                                                       absl::FromUnixMicros(record.expire_micros())});
}

storage::v1::StsPolicy ToRecord(const std::string& domain, const KeptPolicy& kept, const std::string& text) {
  storage::v1::StsPolicy record;
  record.set_domain(domain);
  record.set_id(kept.id);
  record.set_text(text);
  record.set_fetched_micros(absl::ToUnixMicros(kept.fetched));
  record.set_expire_micros(absl::ToUnixMicros(kept.expires));
  return record;
}

awaitable<void> Keep(storage::v1::StsPolicy record, queue::Shard& shard) {
  std::string domain = record.domain();
  const auto kept = co_await net::AwaitCallbackWithin<internal::v1::PutStsPolicyResponse>(
      kKeepLimit, [&](net::Resume<absl::StatusOr<internal::v1::PutStsPolicyResponse>> done) {
        shard.PutStsPolicy(std::move(record),
                           [done](absl::StatusOr<internal::v1::PutStsPolicyResponse> put) { done(std::move(put)); });
      });
  if (kept.ok() || absl::IsCancelled(kept.status())) co_return;
  log::Warn("mta_sts_policy_not_kept",
            {{"domain", domain}, {"shard", std::string(shard.name())}, {"error", kept.status()}});
}

}  // namespace

Policies::Policies(Clock& clock, net::TaskGroup& group) : clock_(clock), group_(group) {}

Known Policies::Get(const std::string& domain) {
  absl::MutexLock lock(&mutex_);
  return memory_.Get(domain);
}

template <typename Change>
void Policies::Update(const std::string& domain, Change change) {
  absl::MutexLock lock(&mutex_);
  Known known = memory_.Get(domain);
  change(known);
  memory_.Set(domain, std::move(known));
}

awaitable<absl::StatusOr<Found>> Policies::Find(Web web, std::string domain, queue::Shard* shard) {
  absl::StatusOr<Found> found = co_await FindUncounted(std::move(web), std::move(domain), shard);
  if (found.ok() && found->kept != nullptr) Count().Count(found->kept->policy.mode);
  co_return found;
}

awaitable<absl::StatusOr<Found>> Policies::FindUncounted(Web web, std::string domain, queue::Shard* shard) {
  Known known = Get(domain);
  Found found;
  found.from = "memory";
  if (shard != nullptr && !Alive(known.policy, clock_.Now()) && clock_.Now() - known.asked >= kAskAgain) {
    CO_RETURN_IF_ERROR(co_await AskShard(domain, *shard));
    known = Get(domain);
    found.from = "the shard";
  }
  CO_ASSIGN_OR_RETURN(const Record record, co_await LookUpRecord(web.resolver, domain));
  const absl::Time now = clock_.Now();
  const bool announced = record.known && !record.id.empty();
  if (Alive(known.policy, now)) {
    found.kept = known.policy;
    const bool another = announced && record.id != known.policy->id;
    const bool refresh = another || ((announced || !record.known) && Aged(*known.policy, now));
    const std::string& id = another ? record.id : known.policy->id;
    const Executor executor = co_await asio::this_coro::executor;
    if (refresh && !Rests(known.failed, id, now)) Begin(executor, std::move(web), domain, id, shard, nullptr);
    co_return found;
  }
  found.from.clear();
  if (!announced) co_return found;
  if (!Rests(known.failed, record.id, now)) {
    co_return co_await WaitForFetch(std::move(web), std::move(domain), record.id, shard);
  }
  found.trouble = known.failed.result;
  found.why = known.failed.why;
  co_return found;
}

// The outer error is kCancelled alone.
awaitable<absl::StatusOr<Policies::Record>> Policies::LookUpRecord(dns::Resolver& resolver, std::string domain) {
  if (clock_.Now() < Get(domain).record_rests) co_return Record{false, ""};
  std::string name = absl::StrCat("_mta-sts.", domain);
  const auto answer = co_await resolver.ResolveTxt(std::move(name), kRecordLimit);
  const absl::Status& status = answer.status();
  if (absl::IsCancelled(status)) co_return status;
  if (answer.ok()) co_return Record{true, RecordId(answer->records).value_or("")};
  if (absl::IsNotFound(status) || absl::IsInvalidArgument(status)) co_return Record{};
  if (absl::IsDeadlineExceeded(status)) {
    Update(domain, [&](Known& known) { known.record_rests = clock_.Now() + kRecordRest; });
  }
  co_return Record{false, ""};
}

// The error is kCancelled alone.
awaitable<absl::Status> Policies::AskShard(std::string domain, queue::Shard& shard) {
  internal::v1::GetStsPolicyRequest request;
  request.set_domain(domain);
  const auto kept = co_await net::AwaitCallbackWithin<storage::v1::StsPolicy>(
      kAskLimit, [&](net::Resume<absl::StatusOr<storage::v1::StsPolicy>> done) {
        shard.GetStsPolicy(std::move(request),
                           [done](absl::StatusOr<storage::v1::StsPolicy> record) { done(std::move(record)); });
      });
  if (absl::IsCancelled(kept.status())) co_return kept.status();
  // kUnimplemented: a shard of an older version keeps nothing.
  const bool answered = kept.ok() || absl::IsNotFound(kept.status()) || absl::IsUnimplemented(kept.status());
  if (!answered) co_return absl::OkStatus();
  const std::shared_ptr<const KeptPolicy> policy = kept.ok() ? FromRecord(*kept) : nullptr;
  Update(domain, [&](Known& known) {
    known.asked = clock_.Now();
    const bool newer = policy != nullptr && (known.policy == nullptr || known.policy->fetched < policy->fetched);
    if (newer) known.policy = policy;
  });
  co_return absl::OkStatus();
}

awaitable<absl::StatusOr<Found>> Policies::WaitForFetch(Web web, std::string domain, std::string id,
                                                        queue::Shard* shard) {
  const Executor executor = co_await asio::this_coro::executor;
  absl::StatusOr<Found> found = co_await net::AwaitCallbackWithin<Found>(
      kWaitLimit, [&](Waiter done) { Begin(executor, std::move(web), domain, id, shard, &done); });
  if (found.ok() || absl::IsCancelled(found.status())) co_return found;
  Found late;
  late.trouble = FetchResult::kTimeout;
  late.why = "the policy host has not answered yet";
  co_return late;
}

void Policies::Begin(const Executor& executor, Web web, const std::string& domain, const std::string& id,
                     queue::Shard* shard, const Waiter* waiter) {
  {
    absl::MutexLock lock(&mutex_);
    const auto [flight, first] = fetching_.try_emplace(domain);
    if (waiter != nullptr) flight->second.push_back(*waiter);
    if (!first) return;
  }
  if (group_.Spawn(executor, FetchAndKeep(std::move(web), domain, id, shard))) return;
  for (const Waiter& waiting : TakeWaiters(domain)) waiting(absl::CancelledError("stopping"));
}

std::vector<Policies::Waiter> Policies::TakeWaiters(const std::string& domain) {
  absl::MutexLock lock(&mutex_);
  auto flight = fetching_.extract(domain);
  return flight ? std::move(flight.mapped()) : std::vector<Waiter>();
}

awaitable<void> Policies::FetchAndKeep(Web web, std::string domain, std::string id, queue::Shard* shard) {
  const Fetched fetched = co_await Fetch(std::move(web), domain);
  Found found;
  found.kept = Note(domain, id, fetched);
  found.from = fetched.ok() ? "the policy host" : "";
  found.trouble = fetched.result;
  found.why = fetched.why;
  if (found.kept != nullptr && shard != nullptr) {
    // Before any mail goes by it: whoever takes over from this worker then knows what it knew.
    storage::v1::StsPolicy record = ToRecord(domain, *found.kept, fetched.text);
    co_await Keep(std::move(record), *shard);
  }
  for (const Waiter& waiter : TakeWaiters(domain)) {
    fetched.result == FetchResult::kCancelled ? waiter(absl::CancelledError("stopping")) : waiter(found);
  }
}

std::shared_ptr<const KeptPolicy> Policies::Note(const std::string& domain, const std::string& id,
                                                 const Fetched& fetched) {
  if (fetched.result == FetchResult::kCancelled) return nullptr;
  Fetches(fetched.result).Increment();
  const absl::Time now = clock_.Now();
  if (!fetched.ok()) {
    log::Info("mta_sts_fetch_failed",
              {{"domain", domain}, {"result", std::string(FetchResultName(fetched.result))}, {"error", fetched.why}});
    Update(domain, [&](Known& known) { known.failed = {id, now + kRetryAfter, fetched.result, fetched.why}; });
    return nullptr;
  }
  const absl::Time expires = now + std::max(fetched.policy.max_age, kShortestLife);
  auto kept = std::make_shared<const KeptPolicy>(KeptPolicy{fetched.policy, id, now, expires});
  Update(domain, [&](Known& known) {
    known.policy = kept;
    known.failed = {};
  });
  return kept;
}

}  // namespace hikyaku::mta_sts
