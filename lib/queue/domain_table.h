// What the shard keeps in memory of the destination domains with mail.
//
// A domain has a record (Domain) while something of it is in memory, parked, suspended or at rest, or while very much
// waits for it. Of all others, however many, only the number of their deliveries is kept, under a hash: about 20 bytes
// a domain. Two domains with the same hash of 64 bits would have their numbers mixed up; the numbers are for people.
//
// Threading: none of its own; the engine's mutex guards it.
#ifndef HIKYAKU_LIB_QUEUE_DOMAIN_TABLE_H_
#define HIKYAKU_LIB_QUEUE_DOMAIN_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "lib/queue/metrics.h"
#include "lib/queue/pace.h"

namespace hikyaku::queue {

struct Domain;
struct Flow;

// What is here of one domain, class and tenant: in memory, and parked on disk.
struct Lane {
  Domain* domain = nullptr;
  int priority_class = 0;
  std::string tenant;
  std::uint32_t held = 0;   // In memory, in any state.
  std::uint32_t ready = 0;  // In memory, kReady.
  bool parked = false;      // Some are parked on disk; those with keys before `from` are in memory.
  std::string from;
  bool refill_listed = false;
  std::list<Lane*>::iterator refill_place;  // While refill_listed.
  std::list<Lane*>::iterator parked_place;  // While parked.
};

struct Domain {
  std::string name;
  std::uint64_t open = 0;                               // Deliveries on disk, in any state.
  std::uint32_t held = 0;                               // In memory, in any state.
  std::array<std::uint32_t, kPriorityClasses> ready{};  // In memory, kReady.
  std::uint32_t active = 0;  // With workers, or their verdicts on the way to disk: what the limit counts.
  bool suspended = false;
  bool served = true;   // Its flows stand in the rings.
  bool paused = false;  // Nothing works there: at rest until its place in the schedule's pauses comes.
  Pace pace;
  std::multimap<std::int64_t, Domain*>::iterator pause;  // While paused.
  std::array<absl::node_hash_map<std::string, Lane>, kPriorityClasses>
      lanes;                 // By tenant, while there is something in it.
  std::vector<Flow*> flows;  // All of this domain.

  bool has_lanes() const { return !lanes[0].empty() || !lanes[1].empty() || !lanes[2].empty(); }
};

class DomainTable {
 public:
  // So that nobody who looks at all of them keeps the mutex for long.
  static constexpr std::size_t kSlices = 64;

  static std::uint64_t Hash(absl::string_view name) { return absl::HashOf(name); }

  // The record, made if there is none. It stays where it is until Drop().
  Domain& Get(absl::string_view name);
  Domain* Find(absl::string_view name);

  // One more delivery is on disk; makes no record, unless very much waits.
  void Opened(absl::string_view name);

  // The record is not needed any more. Keeps its number; or the record, while very much waits.
  void Drop(Domain& domain);

  // Deliveries of a domain without a record; 0: none, or it has one.
  std::uint64_t Other(std::uint64_t hash) const;

  std::size_t size() const { return size_; }

  void ForEachRecord(std::size_t slice, const std::function<void(Domain&)>& visit);
  // Those without a record.
  void ForEachOther(std::size_t slice, const std::function<void(std::uint64_t hash, std::uint64_t open)>& visit) const;

 private:
  struct Slice {
    absl::node_hash_map<std::string, Domain> records;
    absl::flat_hash_map<std::uint64_t, std::uint32_t> others;
  };

  Slice& Of(std::uint64_t hash) { return slices_[hash % kSlices]; }

  std::array<Slice, kSlices> slices_;
  std::size_t size_ = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_DOMAIN_TABLE_H_
