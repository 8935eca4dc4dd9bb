#include "lib/queue/engine.h"

#include <algorithm>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/queue/deadlines.h"
#include "lib/queue/keys.h"

namespace hikyaku::queue {
namespace {

// Leases lost in a row after which a delivery waits as after a failed attempt: it may be what kills the workers.
constexpr int kPatience = 5;

constexpr int kReaders = 2;

// A check of millions of records must not stand before the reclaiming of a full disk.
constexpr int kHousekeepers = 2;

// A body up to this is read for a lease however much is read already: large mail to slow hosts holds up large mail
// only.
constexpr std::uint64_t kSmallBody = 64 << 10;
// So many deliveries whose bodies have no room are passed over in search of others.
constexpr std::size_t kAside = 32;

// Expired items that one operation ends.
constexpr std::size_t kExpireStep = 2000;

std::uint64_t RandomPart() {
  std::uint64_t part;
  RandomBytes(&part, sizeof part);
  return part;
}

ScheduleLimits Limits(const Options& options) {
  PacePolicy pace = options.pace;
  // Of a domain with little mail each delivery is tried at its own times: a rest must not be longer than those.
  pace.longest_pause = std::min(pace.longest_pause, absl::ToInt64Microseconds(options.retry.min));
  pace.shortest_pause = std::min(pace.shortest_pause, pace.longest_pause);
  return {std::max<std::uint32_t>(options.domain_concurrency, 1), pace, std::max<std::uint32_t>(options.window, 1),
          std::max<std::uint32_t>(options.domain_window, 1)};
}

}  // namespace

Engine::Engine(Options given, Clock& clock, std::unique_ptr<Store> opened, storage::v1::Counters counters)
    : options(std::move(given)),
      clock(clock),
      store(std::move(opened)),
      metrics(options.name),
      lifetime_micros(absl::ToInt64Microseconds(options.lifetime)),
      body_parts(RandomPart()),
      schedule(Limits(options)),
      feed(*store, options.name, counters.next_sequence() - 1, options.stepped),
      readers(options.stepped ? 0 : kReaders),
      askers(options.stepped ? 0 : 1),
      housekeepers(options.stepped ? 0 : kHousekeepers),
      committer(
          *store, gate, metrics, counters, [this](std::uint64_t last) { feed.Committed(last); }, [this] { Dispatch(); },
          options.stepped) {
  SetReports(options.reports);
}

ReportPolicy Engine::reports() const {
  absl::MutexLock lock(&reports_mu);
  return report_policy;
}

void Engine::SetReports(ReportPolicy policy) {
  report_delay_micros = absl::ToInt64Microseconds(policy.delay_after);
  absl::MutexLock lock(&reports_mu);
  report_policy = std::move(policy);
}

void Engine::LowerNextDue(std::int64_t micros) {
  if (micros > next_due_micros.load()) return;
  next_due = keys::Due(micros, "");
  next_due_micros = micros;
}

bool Engine::Load(absl::string_view delivery_key, const storage::v1::DueEntry& entry, std::int64_t due, bool parked) {
  if (items.contains(delivery_key)) return false;
  auto item = std::make_shared<Item>();
  item->key = std::string(delivery_key);
  item->tenant = entry.tenant();
  item->priority = entry.priority();
  item->priority_class = PriorityClass(entry.priority());
  item->attempted = entry.attempted();
  item->deliver_by = entry.deliver_by();
  item->parked = parked;
  item->due = due;
  item->expire = entry.expire_micros();
  item->accepted = entry.accept_micros();
  item->size = entry.size();
  item->domain = &schedule.Get(keys::DeliveryDomain(delivery_key));
  schedule.Hold(*item);
  Insert(item);
  schedule.Push(std::move(item));
  return true;
}

void Engine::Insert(const ItemPtr& item) {
  item->slot = static_cast<std::uint32_t>(round.size());
  round.push_back(item.get());
  items.insert(item);
}

void Engine::Erase(const ItemPtr& item) {
  round[item->slot] = round.back();
  round[item->slot]->slot = item->slot;
  round.pop_back();
  items.erase(item);
  item->state = ItemState::kGone;
  hot_bytes -= item->hot_bytes;
  item->hot_bytes = 0;
  schedule.Drop(*item);
}

void Engine::EndLease(Item& item) {
  leases.Unassign(item);
  schedule.Release(*item.domain);
  --leased[item.priority_class];
  if (!std::exchange(item.read_body, false)) return;
  const auto it = read_bodies.find(keys::DeliveryId(item.key));
  if (--it->second.leases > 0) return;
  read_bytes -= it->second.bytes;
  read_bodies.erase(it);
}

// Counts a lease whose body must be read. False: there is no room for that body now.
bool Engine::HoldBody(Item& item) {
  const absl::string_view id = keys::DeliveryId(item.key);
  if (const auto it = read_bodies.find(id); it != read_bodies.end()) {
    ++it->second.leases;
  } else {
    if (item.size > kSmallBody && read_bytes > 0 && read_bytes + item.size > options.leased_bodies) return false;
    read_bytes += item.size;
    ReadBody& body = read_bodies[std::string(id)];
    body.leases = 1;
    body.bytes = item.size;
  }
  item.read_body = true;
  return true;
}

void Engine::TakeBack(const ItemPtr& item, bool lost) {
  EndLease(*item);
  if (item->hot_bytes == 0) {
    item->delivery = nullptr;
    item->body = nullptr;
  }
  if (lost) {
    metrics.lost_leases.Increment();
    ++item->lost_leases;
  }
  if (item->lost_leases >= kPatience) {
    item->state = ItemState::kEnding;
    const absl::Duration delay = RetryDelay(options.retry, item->lost_leases - kPatience + 1, RandomFraction());
    outbox.push_back(MakeDelay(*this, item, NowMicros() + absl::ToInt64Microseconds(delay)));
    return;
  }
  schedule.Push(item, /*front=*/!lost);
}

void Engine::CloseStream(Stream& stream, absl::Status why) {
  const bool by_worker = absl::IsCancelled(why);
  {
    absl::MutexLock lock(&mu);
    for (const ItemPtr& item : leases.Close(stream, std::move(why))) TakeBack(item, /*lost=*/by_worker);
  }
  Leases::Drain(mu, stream);
  Leases::Wait(mu, stream);
  Dispatch();
}

void Engine::Dispatch() {
  std::vector<std::shared_ptr<Stream>> listed;
  std::vector<std::unique_ptr<Operation>> operations;
  {
    absl::MutexLock lock(&mu);
    Fill();
    listed = leases.TakeListed();
    operations.swap(outbox);
  }
  for (auto& operation : operations) committer.Push(std::move(operation));
  for (const auto& stream : listed) Leases::Drain(mu, *stream);
}

void Engine::Fill() {
  // While the store is broken nothing can be read, and no verdict could be written.
  if (!gate.open() && (gate.Closed(Gate::kStore) || gate.Closed(Gate::kStopping))) return;
  const std::int64_t now = NowMicros();
  std::vector<ItemPtr> over, aside;
  while (over.size() < kExpireStep && aside.size() < kAside) {
    Stream* stream = leases.NextWithCredit();
    if (stream == nullptr) break;
    ItemPtr item = schedule.Pop();
    if (item == nullptr) break;
    if (now >= EndMicros(*item)) {
      schedule.Release(*item->domain);
      item->state = ItemState::kEnding;
      over.push_back(std::move(item));
      continue;
    }
    const bool at_hand = item->body != nullptr && item->delivery != nullptr;
    if (!at_hand && !HoldBody(*item)) {
      aside.push_back(std::move(item));
      continue;
    }
    leases.Assign(*stream, item, LeaseClock());
    ++leased[item->priority_class];
    if (at_hand) {
      leases.Offer(*item, item->body);
    } else {
      readers.Push([this, item, lease = item->lease] { ReadForLease(item, lease); });
    }
  }
  for (; !aside.empty(); aside.pop_back()) schedule.PutBack(std::move(aside.back()));
  if (!over.empty()) outbox.push_back(MakeExpire(*this, std::move(over), /*owned=*/true));
  if (!refilling && schedule.wants_refill()) {
    refilling = true;
    outbox.push_back(MakeRefill(*this));
  }
}

// Null: there is none.
absl::StatusOr<std::shared_ptr<const std::string>> Engine::BodyOf(const Item& item, std::uint64_t part) {
  const absl::string_view id = keys::DeliveryId(item.key);
  {
    absl::MutexLock lock(&mu);
    const auto it = read_bodies.find(id);
    if (it != read_bodies.end() && it->second.part == part) {
      if (auto shared = it->second.body.lock(); shared != nullptr) return shared;
    }
  }
  auto read = store->Get(Family::kBody, keys::Body(id, part));
  if (!read.ok()) return read.status();
  if (!read->has_value()) return std::shared_ptr<const std::string>();
  auto body = std::make_shared<const std::string>(std::move(**read));
  absl::MutexLock lock(&mu);
  if (const auto it = read_bodies.find(id); it != read_bodies.end()) {
    it->second.part = part;
    it->second.body = body;
  }
  return body;
}

// Reads what the lease needs, and hands it to the worker.
void Engine::ReadForLease(const ItemPtr& item, std::uint64_t lease) {
  std::shared_ptr<storage::v1::Delivery> delivery;
  std::shared_ptr<const std::string> body;
  const auto record = store->Get(Family::kDelivery, item->key);
  absl::Status status = record.status();
  if (record.ok() && record->has_value()) {
    delivery = std::make_shared<storage::v1::Delivery>();
    if (delivery->ParseFromString(**record)) {
      auto read = BodyOf(*item, delivery->body_part());
      status = read.status();
      if (read.ok()) body = *std::move(read);
    }
  }
  {
    absl::MutexLock lock(&mu);
    if (item->state != ItemState::kLeased || item->lease != lease || item->stream == nullptr) return;
    if (body != nullptr) {
      item->delivery = std::move(delivery);
      leases.Offer(*item, std::move(body));
    } else {
      leases.Revoke(*item);
      // While the store is being reopened nothing is leased: the item waits where it is. Otherwise the record is
      // damaged, or its disk is, and it waits for longer, until the mail expires.
      if (!absl::IsUnavailable(status)) {
        item->lost_leases = std::max(item->lost_leases, kPatience);
      } else if (!gate.Closed(Gate::kStore)) {
        ++item->lost_leases;
      }
      if (item->lost_leases >= kPatience) {
        log::Error("delivery_unreadable", {{"domain", keys::DeliveryDomain(item->key)}, {"error", status}});
        metrics.unreadable.Increment();
      }
      TakeBack(item, /*lost=*/false);
    }
  }
  Dispatch();
}

}  // namespace hikyaku::queue
