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
constexpr std::uint32_t kOverdraft = 4;

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
  auto [it, made] = domains_.try_emplace(std::string(name));
  if (made) it->second.name = it->first;
  return it->second;
}

Domain* Schedule::Find(absl::string_view name) {
  const auto it = domains_.find(std::string(name));
  return it == domains_.end() ? nullptr : &it->second;
}

void Schedule::Forget(Domain& domain) {
  if (domain.open > 0 || domain.held > 0 || domain.active > 0 || domain.suspended) return;
  if (domain.refill_listed) refills_.remove(&domain);
  domains_.erase(domains_.find(domain.name));
}

std::uint32_t Schedule::Room(const Domain& domain, int priority_class) const {
  if (domain.suspended) return 0;
  const std::uint64_t window = std::uint64_t{limits_.window} * kShares[priority_class] / 2;
  const std::uint64_t domain_window = std::uint64_t{limits_.domain_window} * kShares[priority_class] / 2;
  // A domain always gets enough to keep its workers busy, however full the window is with mail of slower ones.
  const std::uint32_t least = 2 * limits_.domain_concurrency;
  if (domain.held < least && held_ < std::uint64_t{kOverdraft} * limits_.window) return least - domain.held;
  if (held_ >= window || domain.held >= domain_window) return 0;
  return static_cast<std::uint32_t>(std::min(window - held_, domain_window - domain.held));
}

bool Schedule::HasRoom(const Domain& domain, int priority_class) const {
  return !domain.parked[priority_class].any && Room(domain, priority_class) > 0;
}

void Schedule::Hold(Item& item) {
  ++item.domain->held;
  ++held_;
}

void Schedule::Drop(Item& item) {
  Domain& domain = *item.domain;
  --domain.held;
  --held_;
  NoteRefill(domain);
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
  NoteRefill(domain);
  return item;
}

void Schedule::Release(Domain& domain) {
  HIKYAKU_CHECK(domain.active > 0);
  --domain.active;
  Sync(domain);
}

void Schedule::SetDomainConcurrency(std::uint32_t limit) {
  limits_.domain_concurrency = std::max<std::uint32_t>(limit, 1);
  for (auto& [name, domain] : domains_) Sync(domain);
}

void Schedule::Suspend(Domain& domain, bool suspended) {
  domain.suspended = suspended;
  Sync(domain);
  NoteRefill(domain);
}

void Schedule::NoteParked(Domain& domain, int priority_class, std::string key) {
  Domain::Parked& parked = domain.parked[priority_class];
  if (!parked.any || key < parked.from) parked.from = std::move(key);
  parked.any = true;
  NoteRefill(domain);
}

bool Schedule::RunsLow(const Domain& domain, int priority_class) const {
  return domain.parked[priority_class].any && domain.ready[priority_class] <= limits_.domain_concurrency &&
         Room(domain, priority_class) > 0;
}

void Schedule::NoteRefill(Domain& domain) {
  if (domain.refill_listed) return;
  if (!RunsLow(domain, 0) && !RunsLow(domain, 1) && !RunsLow(domain, 2)) return;
  domain.refill_listed = true;
  refills_.push_back(&domain);
}

Domain* Schedule::NextRefill() {
  if (refills_.empty()) return nullptr;
  Domain* domain = refills_.front();
  refills_.pop_front();
  domain->refill_listed = false;
  return domain;
}

void Schedule::ForEachDomain(const std::function<void(Domain&)>& visit) {
  for (auto& [name, domain] : domains_) visit(domain);
}

bool Schedule::Servable(const Domain& domain) const {
  return !domain.suspended && domain.active < limits_.domain_concurrency;
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
