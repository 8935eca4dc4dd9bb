#include "lib/queue/schedule.h"

#include <algorithm>
#include <utility>

#include "lib/base/check.h"

namespace hikyaku::queue {
namespace {

// Of 21 leases, 16 go to high, 4 to normal and 1 to bulk when all three have mail.
constexpr std::array<int, kPriorityClasses> kWeights = {16, 4, 1};

// Halves of the window that a class may fill.
constexpr std::array<std::uint64_t, kPriorityClasses> kShares = {4, 3, 2};

// A message counts as one, and one more for each step of this size, at most kMaxCost in all.
constexpr std::uint64_t kCostStep = 256 << 10;
constexpr int kMaxCost = 16;

int Cost(const Item& item) {
  return 1 + static_cast<int>(std::min<std::uint64_t>(item.size / kCostStep, kMaxCost - 1));
}

// The window may be overdrawn by domains that hold next to nothing, up to this many times.
constexpr std::uint32_t kOverdraft = 2;

// Domains without a record whose connections are remembered.
constexpr std::size_t kProven = 10'000;

// Surplus round robin, a form of deficit round robin that needs no look at the next item: whoever has credit is served
// and pays afterwards; whoever has none waits a round for it. Ends, because each visit adds 1 to a debt of at most
// kMaxCost.
template <typename T>
T* Turn(std::list<T*>& ring) {
  while (ring.front()->deficit < 0) {
    ++ring.front()->deficit;
    ring.splice(ring.end(), ring, ring.begin());
  }
  return ring.front();
}

}  // namespace

Domain& Schedule::Get(absl::string_view name) {
  Domain* found = domains_.Find(name);
  if (found != nullptr) return *found;
  Domain& domain = domains_.Get(name);
  if (const auto it = proven_.find(DomainTable::Hash(name)); it != proven_.end()) {
    domain.pace.Start(it->second);
    proven_.erase(it);
  }
  return domain;
}

void Schedule::Forget(Domain& domain) {
  if (domain.held > 0 || domain.active > 0 || domain.suspended || domain.paused) return;
  // What a lane has parked may be on its way to disk, and not counted as open yet. One that is empty after all is
  // dropped by its refill.
  if (domain.has_lanes()) return;
  if (domain.pace.proven(limits_.pace)) {
    if (proven_.size() >= kProven) proven_.clear();
    proven_[DomainTable::Hash(domain.name)] = domain.pace.Limit(limits_.pace);
  }
  domains_.Drop(domain);
}

std::uint32_t Schedule::Room(const Domain& domain, int priority_class, std::uint32_t held) const {
  if (domain.suspended) return 0;
  const std::uint64_t window = std::uint64_t{limits_.window} * kShares[priority_class] / 2;
  const std::uint64_t domain_window = std::uint64_t{limits_.domain_window} * kShares[priority_class] / 2;
  // A lane always gets enough to keep its domain's workers busy, however full the window is with mail of slower
  // domains, or of other tenants.
  const std::uint32_t least = 2 * limits_.domain_concurrency;
  if (held < least && held_ < std::uint64_t{kOverdraft} * limits_.window) return least - held;
  if (held_ >= window || domain.held >= domain_window) return 0;
  return static_cast<std::uint32_t>(std::min(window - held_, domain_window - domain.held));
}

bool Schedule::HasRoom(Domain& domain, int priority_class, absl::string_view tenant) const {
  const auto lane = domain.lanes[priority_class].find(tenant);
  if (lane == domain.lanes[priority_class].end()) return Room(domain, priority_class, 0) > 0;
  return !lane->second.parked && Room(lane->second) > 0;
}

Lane& Schedule::GetLane(Domain& domain, int priority_class, absl::string_view tenant) {
  auto [it, made] = domain.lanes[priority_class].try_emplace(std::string(tenant));
  Lane& lane = it->second;
  if (made) {
    lane.domain = &domain;
    lane.priority_class = priority_class;
    lane.tenant = it->first;
  }
  return lane;
}

// Drops the record if nothing needs it.
void Schedule::DropLane(Lane& lane) {
  if (lane.held > 0 || lane.parked) return;
  Unlist(lane);
  auto& lanes = lane.domain->lanes[lane.priority_class];
  lanes.erase(lanes.find(std::string(lane.tenant)));
}

void Schedule::Hold(Item& item) {
  item.lane = &GetLane(*item.domain, item.priority_class, item.tenant);
  ++item.lane->held;
  ++item.domain->held;
  ++held_;
}

void Schedule::Drop(Item& item) {
  Lane& lane = *std::exchange(item.lane, nullptr);
  --lane.held;
  --item.domain->held;
  --held_;
  NoteRefill(lane);
  DropLane(lane);
}

void Schedule::Push(ItemPtr item, bool front) {
  Class& of_class = classes_[item->priority_class];
  auto [tenant, new_tenant] = of_class.tenants.try_emplace(item->tenant);
  if (new_tenant) {
    tenant->second.name = tenant->first;
    tenant->second.priority_class = item->priority_class;
  }
  auto [it, new_flow] = tenant->second.flows.try_emplace(item->domain);
  Flow& flow = it->second;
  if (new_flow) {
    flow.domain = item->domain;
    flow.tenant = &tenant->second;
    item->domain->flows.push_back(&flow);
  }
  Item& placed = *item;
  placed.state = ItemState::kReady;
  placed.flow = &flow;
  placed.place = flow.items.insert(front ? flow.items.begin() : flow.items.end(), std::move(item));
  ++of_class.ready;
  ++placed.domain->ready[placed.priority_class];
  ++placed.lane->ready;
  Sync(*placed.domain);
  if (placed.domain->served) Enter(flow);
}

void Schedule::Remove(Item& item) {
  Flow& flow = *item.flow;
  const ItemPtr keep = *item.place;
  flow.items.erase(item.place);
  item.flow = nullptr;
  --classes_[item.priority_class].ready;
  --item.domain->ready[item.priority_class];
  --item.lane->ready;
  if (flow.items.empty()) DropFlow(flow);
}

ItemPtr Schedule::Pop() {
  Class* of_class = NextClass();
  if (of_class == nullptr) return nullptr;
  Tenant* tenant = Turn(of_class->ring);
  Flow* flow = Turn(tenant->ring);
  ItemPtr item = flow->items.front();
  const int cost = Cost(*item);
  tenant->deficit -= cost;
  flow->deficit -= cost;
  ++item->domain->active;
  Domain& domain = *item->domain;
  Remove(*item);
  Sync(domain);
  NoteRefill(*item->lane);
  return item;
}

void Schedule::PutBack(ItemPtr item) {
  Item& placed = *item;
  Release(*placed.domain);
  Push(std::move(item), /*front=*/true);
  // What it paid; a debt would grow with each try. A flow made anew owes nothing.
  Flow& flow = *placed.flow;
  flow.deficit = std::min(flow.deficit + Cost(placed), 0);
  flow.tenant->deficit = std::min(flow.tenant->deficit + Cost(placed), 0);
}

void Schedule::Release(Domain& domain) {
  HIKYAKU_CHECK(domain.active > 0);
  --domain.active;
  Sync(domain);
}

void Schedule::SetDomainConcurrency(std::uint32_t limit) {
  limits_.domain_concurrency = std::max<std::uint32_t>(limit, 1);
  for (std::size_t slice = 0; slice < DomainTable::kSlices; ++slice) {
    domains_.ForEachRecord(slice, [this](Domain& domain) { Sync(domain); });
  }
}

void Schedule::Succeeded(Domain& domain) {
  domain.pace.Succeeded(limits_.pace, limits_.domain_concurrency);
  if (domain.paused) return Wake(domain);
  Sync(domain);
}

void Schedule::Failed(Domain& domain, std::int64_t now) {
  if (domain.paused) return;  // It belongs to the attempts that brought the pause.
  const std::int64_t pause = domain.pace.Failed(limits_.pace);
  if (pause > 0) {
    domain.paused = true;
    domain.pause = pauses_.emplace(now + pause, &domain);
  }
  Sync(domain);
}

void Schedule::EndPauses(std::int64_t now) {
  while (!pauses_.empty() && pauses_.begin()->first <= now) EndPause(*pauses_.begin()->second);
}

void Schedule::EndPause(Domain& domain) {
  Wake(domain);
  // A lane may be in the hands of a refill, on another thread; that forgets the domain afterwards.
  if (!domain.has_lanes()) Forget(domain);
}

void Schedule::Wake(Domain& domain) {
  if (!std::exchange(domain.paused, false)) return;
  pauses_.erase(domain.pause);
  Sync(domain);
}

void Schedule::Suspend(Domain& domain, bool suspended) {
  domain.suspended = suspended;
  Sync(domain);
  for (auto& lanes : domain.lanes) {
    std::vector<Lane*> ordered;  // By tenant, not as the map has them: what a simulation does can be repeated.
    for (auto& [tenant, lane] : lanes) ordered.push_back(&lane);
    std::sort(ordered.begin(), ordered.end(), [](const Lane* a, const Lane* b) { return a->tenant < b->tenant; });
    for (Lane* lane : ordered) NoteRefill(*lane);
  }
}

void Schedule::NoteParked(Domain& domain, int priority_class, absl::string_view tenant, std::string key) {
  Lane& lane = GetLane(domain, priority_class, tenant);
  if (!lane.parked || key < lane.from) lane.from = std::move(key);
  SetParked(lane, true);
  NoteRefill(lane);
}

void Schedule::SetParked(Lane& lane, bool parked) {
  if (lane.parked == parked) return;
  lane.parked = parked;
  if (parked) {
    lane.parked_place = parked_.insert(parked_.end(), &lane);
  } else {
    parked_.erase(lane.parked_place);
  }
}

void Schedule::NoteRefill(Lane& lane) {
  if (!lane.parked || lane.refill_listed) return;
  if (lane.ready > limits_.domain_concurrency || Room(lane) == 0) return;
  lane.refill_listed = true;
  lane.refill_place = refills_.insert(refills_.end(), &lane);
}

void Schedule::Unlist(Lane& lane) {
  if (!std::exchange(lane.refill_listed, false)) return;
  refills_.erase(lane.refill_place);
}

void Schedule::NoteRefills(std::size_t lanes) {
  for (lanes = std::min(lanes, parked_.size()); lanes > 0; --lanes) {
    NoteRefill(*parked_.front());
    parked_.splice(parked_.end(), parked_, parked_.begin());
  }
}

Lane* Schedule::NextRefill() {
  if (refills_.empty()) return nullptr;
  Lane* lane = refills_.front();
  Unlist(*lane);
  return lane;
}

void Schedule::NoteRefilled(Lane& lane, std::string from) {
  SetParked(lane, !from.empty());
  lane.from = std::move(from);
  NoteRefill(lane);
  DropLane(lane);
}

bool Schedule::Servable(const Domain& domain) const {
  return !domain.suspended && !domain.paused && domain.active < Limit(domain);
}

// Puts the flow, and with it its tenant, into the rings.
void Schedule::Enter(Flow& flow) {
  if (flow.in_ring) return;
  Tenant& tenant = *flow.tenant;
  flow.in_ring = true;
  flow.ring = tenant.ring.insert(tenant.ring.end(), &flow);
  if (tenant.in_ring) return;
  Class& of_class = classes_[tenant.priority_class];
  tenant.in_ring = true;
  tenant.place = of_class.ring.insert(of_class.ring.end(), &tenant);
}

void Schedule::Leave(Flow& flow) {
  if (!flow.in_ring) return;
  Tenant& tenant = *flow.tenant;
  flow.in_ring = false;
  tenant.ring.erase(flow.ring);
  if (!tenant.ring.empty()) return;
  tenant.in_ring = false;
  classes_[tenant.priority_class].ring.erase(tenant.place);
}

// Brings the rings into line with whether the domain may be served.
void Schedule::Sync(Domain& domain) {
  const bool servable = Servable(domain);
  if (servable == domain.served) return;
  domain.served = servable;
  for (Flow* flow : domain.flows) servable ? Enter(*flow) : Leave(*flow);
}

void Schedule::DropFlow(Flow& flow) {
  Leave(flow);
  Domain& domain = *flow.domain;
  domain.flows.erase(std::find(domain.flows.begin(), domain.flows.end(), &flow));
  Tenant& tenant = *flow.tenant;
  tenant.flows.erase(&domain);
  if (!tenant.flows.empty()) return;
  Class& of_class = classes_[tenant.priority_class];
  of_class.tenants.erase(of_class.tenants.find(std::string(tenant.name)));
}

// Smooth weighted round robin over the classes that have something to serve.
Schedule::Class* Schedule::NextClass() {
  Class* best = nullptr;
  int total = 0;
  for (int i = 0; i < kPriorityClasses; ++i) {
    Class& each = classes_[i];
    if (each.ring.empty()) continue;
    each.credit += kWeights[i];
    total += kWeights[i];
    if (best == nullptr || each.credit > best->credit) best = &each;
  }
  if (best != nullptr) best->credit -= total;
  return best;
}

}  // namespace hikyaku::queue
