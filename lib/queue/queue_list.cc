// ListQueues: the domains with the most mail. Numbers come from memory; names of domains without a record, times and
// the last failure from the disk. Declared in queries.h.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "lib/queue/engine.h"
#include "lib/queue/keys.h"
#include "lib/queue/queries.h"

namespace hikyaku::queue {
namespace {

struct Row {
  std::uint64_t open = 0;
  std::uint64_t hash = 0;
  std::uint64_t unheld = 0;  // Of the open ones, those that are not in memory.
  v1::QueueSummary summary;  // Without a name: not known yet.
  std::string attempted;     // Key of a delivery that was tried; empty: none was seen.
};

// Keeps the rows with the most deliveries, of all that are offered.
class Most {
 public:
  explicit Most(std::size_t limit) : limit_(limit) {}

  // Whether a domain with so many is among them. If so, add it.
  bool Wants(std::uint64_t open) const { return rows_.size() < limit_ || open > rows_.front().open; }
  void Add(Row row) {
    if (rows_.size() == limit_) {
      std::pop_heap(rows_.begin(), rows_.end(), More);
      rows_.pop_back();
    }
    rows_.push_back(std::move(row));
    std::push_heap(rows_.begin(), rows_.end(), More);
  }
  std::vector<Row> Take() { return std::move(rows_); }

 private:
  static bool More(const Row& a, const Row& b) { return a.open > b.open; }

  const std::size_t limit_;
  std::vector<Row> rows_;  // A heap; the least is at the front.
};

Row RowOf(const Domain& domain) {
  Row row;
  row.open = domain.open;
  row.hash = DomainTable::Hash(domain.name);
  row.unheld = domain.open > domain.held ? domain.open - domain.held : 0;
  row.summary.set_domain(domain.name);
  row.summary.set_ready(domain.ready[0] + domain.ready[1] + domain.ready[2]);
  row.summary.set_leased(domain.active);
  row.summary.set_suspended(domain.suspended);
  return row;
}

Row RowOf(std::uint64_t hash, std::uint64_t open) {
  Row row;
  row.open = row.unheld = open;
  row.hash = hash;
  return row;
}

// A slice at a time, so that nobody waits long for the mutex.
std::vector<Row> PickDomains(Engine& engine, std::size_t limit) {
  Most most(limit);
  for (std::size_t slice = 0; slice < DomainTable::kSlices; ++slice) {
    absl::MutexLock lock(&engine.mu);
    engine.schedule.domains().ForEachRecord(slice, [&](Domain& domain) {
      if (most.Wants(domain.open)) most.Add(RowOf(domain));
    });
    engine.schedule.domains().ForEachOther(slice, [&](std::uint64_t hash, std::uint64_t open) {
      if (most.Wants(open)) most.Add(RowOf(hash, open));
    });
  }
  return most.Take();
}

std::vector<Row> PickDomain(Engine& engine, const std::string& name) {
  const std::uint64_t hash = DomainTable::Hash(name);
  std::vector<Row> rows;
  absl::MutexLock lock(&engine.mu);
  if (const Domain* domain = engine.schedule.Find(name); domain != nullptr) {
    rows.push_back(RowOf(*domain));
  } else if (const std::uint64_t open = engine.schedule.domains().Other(hash); open > 0) {
    rows.push_back(RowOf(hash, open));
    rows.back().summary.set_domain(name);
  }
  return rows;
}

void Earlier(google::protobuf::Timestamp* time, bool set, std::int64_t micros) {
  const std::int64_t old = time->seconds() * 1'000'000 + time->nanos() / 1000;
  if (!set || micros < old) SetTime(*time, micros);
}

void AddEntry(Row& row, const keys::DueParts& parts, const storage::v1::DueEntry& entry, std::int64_t now) {
  v1::QueueSummary& queue = row.summary;
  const absl::string_view name = keys::DeliveryDomain(parts.delivery_key);
  if (queue.domain().empty()) queue.set_domain(std::string(name));
  const bool had_oldest = queue.has_oldest_accept_time(), had_next = queue.has_next_attempt_time();
  Earlier(queue.mutable_oldest_accept_time(), had_oldest, entry.accept_micros());
  if (entry.attempted() && row.attempted.empty()) row.attempted = std::string(parts.delivery_key);
  if (entry.parked_micros() != 0 || parts.micros <= now) return;
  Earlier(queue.mutable_next_attempt_time(), had_next, parts.micros);
  queue.set_scheduled(queue.scheduled() + 1);
}

// Adds what only the disk knows: times, which of those not in memory wait for later, and names.
void AddFromDisk(Engine& engine, std::vector<Row>& rows) {
  absl::flat_hash_map<std::uint64_t, Row*> by_hash;
  for (Row& row : rows) by_hash[row.hash] = &row;
  const std::int64_t now = engine.NowMicros();
  const auto cursor = engine.store->Scan(Family::kDue, "", "");
  for (int seen = 0; cursor != nullptr && cursor->Valid() && seen < kMostSeen; cursor->Next(), ++seen) {
    const auto parts = keys::ParseDue(cursor->key());
    if (!parts.has_value()) continue;
    const auto found = by_hash.find(DomainTable::Hash(keys::DeliveryDomain(parts->delivery_key)));
    storage::v1::DueEntry entry;
    if (found != by_hash.end() &&
        entry.ParseFromArray(cursor->value().data(), static_cast<int>(cursor->value().size()))) {
      AddEntry(*found->second, *parts, entry, now);
    }
  }
  for (Row& row : rows) {
    v1::QueueSummary& queue = row.summary;
    queue.set_scheduled(std::min(queue.scheduled(), row.unheld));
    queue.set_ready(queue.ready() + row.unheld - queue.scheduled());
  }
}

void AddLastFailure(Engine& engine, Row& row) {
  if (row.attempted.empty()) return;
  const auto record = engine.store->Get(Family::kDelivery, row.attempted);
  storage::v1::Delivery delivery;
  if (!record.ok() || !record->has_value() || !delivery.ParseFromString(**record)) return;
  if (delivery.recipients().empty() || !delivery.recipients(0).has_last_outcome()) return;
  *row.summary.mutable_last_failure() = delivery.recipients(0).last_outcome();
}

}  // namespace

absl::StatusOr<v1::ListQueuesResponse> QueryQueues(Engine& engine, const v1::ListQueuesRequest& request) {
  const std::string wanted = absl::AsciiStrToLower(request.domain());
  std::vector<Row> rows = wanted.empty() ? PickDomains(engine, RowLimit(request.limit())) : PickDomain(engine, wanted);
  AddFromDisk(engine, rows);
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return a.open != b.open ? a.open > b.open : a.summary.domain() < b.summary.domain();
  });
  v1::ListQueuesResponse response;
  for (Row& row : rows) {
    if (row.summary.domain().empty()) continue;  // Few wait for it, and none of them soon.
    AddLastFailure(engine, row);
    row.summary.set_shard(engine.options.name);
    *response.add_queues() = std::move(row.summary);
  }
  return response;
}

}  // namespace hikyaku::queue
