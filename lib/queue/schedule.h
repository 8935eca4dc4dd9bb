// Which delivery is next: fair between priorities, tenants and domains, within the limits of each domain.
//
// Order: priority classes by smooth weighted round robin, so that high goes first but bulk never starves; then the
// tenants of the class; then the domains of the tenant; both by deficit round robin, in which a large message counts
// for more. Within a domain: first in, first out. A domain that is at its limit, at rest (pace.h) or suspended stands
// in no ring: it costs the others nothing.
//
// Memory: this holds deliveries that are due, and of them a bounded number; HasRoom() says whether one more may come
// in. What has no room is parked on disk, in a lane for each domain, class and tenant, and refilled when the lane runs
// low: NextRefill(). So nobody's backlog to a domain stands in front of another tenant's mail to it.
//
// Threading: none of its own; the engine's mutex guards it.
#ifndef HIKYAKU_LIB_QUEUE_SCHEDULE_H_
#define HIKYAKU_LIB_QUEUE_SCHEDULE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/strings/string_view.h"
#include "lib/queue/domain_table.h"
#include "lib/queue/item.h"
#include "lib/queue/metrics.h"
#include "lib/queue/pace.h"

namespace hikyaku::queue {

struct Tenant;

// The deliveries of one class, tenant and domain.
struct Flow {
  Domain* domain = nullptr;
  Tenant* tenant = nullptr;
  std::list<ItemPtr> items;
  int deficit = 0;
  bool in_ring = false;
  std::list<Flow*>::iterator ring;
};

struct Tenant {
  std::string name;
  int priority_class = 0;
  absl::node_hash_map<Domain*, Flow> flows;
  std::list<Flow*> ring;  // Flows that may be served.
  int deficit = 0;
  bool in_ring = false;
  std::list<Tenant*>::iterator place;
};

struct ScheduleLimits {
  std::uint32_t domain_concurrency = 20;
  PacePolicy pace;
  std::uint32_t window = 50'000;        // Items in memory, softly.
  std::uint32_t domain_window = 1'000;  // Of them for one domain.
};

class Schedule {
 public:
  explicit Schedule(ScheduleLimits limits) : limits_(limits) {}

  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  // The domain's record, made if new. Pointers stay good until Forget().
  Domain& Get(absl::string_view name);
  Domain* Find(absl::string_view name) { return domains_.Find(name); }
  // One more delivery of the domain is on disk, or one less.
  void Opened(absl::string_view name) { domains_.Opened(name); }
  static void Closed(Domain& domain) {
    if (domain.open > 0) --domain.open;
  }
  // Drops the record if nothing needs it.
  void Forget(Domain& domain);

  // Whether one more delivery of the lane may be held in memory. False while older ones of it are parked, so that order
  // is kept, and while the domain is suspended.
  bool HasRoom(Domain& domain, int priority_class, absl::string_view tenant) const;
  // How many more the lane may hold now; ignores that older ones are parked. The higher classes have room that a
  // backlog of lower ones cannot take, and each lane has a little that nobody else can take.
  std::uint32_t Room(const Lane& lane) const { return Room(*lane.domain, lane.priority_class, lane.held); }

  // Takes an item into memory, or out; counts only.
  void Hold(Item& item);
  void Drop(Item& item);

  // Makes a held item ready. `front`: it goes before the others of its flow (a lease that came back).
  void Push(ItemPtr item, bool front = false);
  // Takes a ready item out of its flow.
  void Remove(Item& item);

  // The next item that no limit forbids, out of its flow, its domain counted as active; null: none.
  ItemPtr Pop();
  // The item that Pop gave goes back where it was, as if it had never come.
  void PutBack(ItemPtr item);
  // The item that Pop gave is no longer active.
  void Release(Domain& domain);

  // An attempt at the domain found somebody to speak to, or nobody: it gets more connections, or a rest. `now`: micros
  // of the same clock as EndPauses.
  void Succeeded(Domain& domain);
  void Failed(Domain& domain, std::int64_t now);
  // Ends the rests that are over; call often.
  void EndPauses(std::int64_t now);
  // Ends the rest of the domain, whose record may be gone then.
  void EndPause(Domain& domain);

  void SetDomainConcurrency(std::uint32_t limit);
  void Suspend(Domain& domain, bool suspended);

  // A delivery was parked under `key`.
  void NoteParked(Domain& domain, int priority_class, absl::string_view tenant, std::string key);
  // Puts lanes that run low, and have something parked, on the list of NextRefill. What happens in a lane does so by
  // itself; this is for room that others made. Looks at so many lanes, at others the next time.
  void NoteRefills(std::size_t lanes);
  // A lane that wants a refill, off the list; null: none. It has something parked, and lives until NoteRefilled.
  Lane* NextRefill();
  // What of the lane is parked under keys before `from` is in memory now; empty: all. The lane may be gone afterwards.
  void NoteRefilled(Lane& lane, std::string from);

  bool wants_refill() const { return !refills_.empty(); }

  DomainTable& domains() { return domains_; }

  // How many connections the domain may have now.
  std::uint32_t Limit(const Domain& domain) const {
    return std::min(domain.pace.Limit(limits_.pace), limits_.domain_concurrency);
  }
  std::uint64_t held() const { return held_; }
  std::uint64_t ready(int priority_class) const { return classes_[priority_class].ready; }

 private:
  struct Class {
    absl::node_hash_map<std::string, Tenant> tenants;
    std::list<Tenant*> ring;
    int credit = 0;
    std::uint64_t ready = 0;
  };

  bool Servable(const Domain& domain) const;
  std::uint32_t Room(const Domain& domain, int priority_class, std::uint32_t held) const;
  Lane& GetLane(Domain& domain, int priority_class, absl::string_view tenant);
  void DropLane(Lane& lane);
  void NoteRefill(Lane& lane);
  void SetParked(Lane& lane, bool parked);
  void Unlist(Lane& lane);
  void Enter(Flow& flow);
  void Leave(Flow& flow);
  void Sync(Domain& domain);
  void Wake(Domain& domain);
  void DropFlow(Flow& flow);
  Class* NextClass();

  ScheduleLimits limits_;
  DomainTable domains_;
  std::multimap<std::int64_t, Domain*> pauses_;  // By their end.
  // Connections of domains whose record is gone, so that a busy one does not begin anew each time it has nothing to do.
  absl::flat_hash_map<std::uint64_t, std::uint32_t> proven_;
  std::array<Class, kPriorityClasses> classes_;
  std::list<Lane*> refills_;
  std::list<Lane*> parked_;  // All with something parked.
  std::uint64_t held_ = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_SCHEDULE_H_
