// A disk that forgets: the Store of a simulated shard. What was synced outlives every crash; a write whose sync failed
// is there or not, and nobody knows before the store is reopened.
//
// Threading: none of its own.
#ifndef HIKYAKU_TESTS_SIM_SIM_STORE_H_
#define HIKYAKU_TESTS_SIM_SIM_STORE_H_

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/queue/store.h"
#include "tests/sim/world.h"

namespace hikyaku::sim {

// Planted bugs: the simulation is worth something only if it catches each of them (docs/testing.md).
struct Mutant {
  enum Kind {
    kNone,
    kForgetSync,         // A crash loses the last commit, although its sync was reported.
    kAckBeforeSync,      // A shard's OK to Enqueue is sent before the commit.
    kDeleteBefore250,    // A delivery is recorded as done when it is handed to a worker.
    kForgetDue,          // Now and then the due entry of a delivery is not written.
    kForgetDelivery,     // Now and then one delivery of a message is not written.
    kCorruptBody,        // Now and then a body is read with one bit turned.
    kLoseVerdict,        // Now and then a verdict is dropped on its way, with no fault to explain it.
    kMisreportWritten,   // Now and then a lost answer is told as "nothing was written".
    kKeepDelivery,       // Now and then the record of a delivery that ended is not deleted.
    kDropKeyOnRecovery,  // A restart loses a key.
    kForgetVerify,       // A worker does not ask hosts to prove themselves.
    kPolicyOfNeighbour,  // A worker gives each domain the TLS policy of another one.
    kHastyClearText,     // A worker gives up TLS at its first failure.
    kIgnoreSts,          // A worker does not do as the MTA-STS policy says that it fetched.
    kForgetDane,         // A worker asks for no TLSA records.
    kDaneFailsOpen,      // A worker takes TLSA records that cannot be looked up for none.
    kForgetRequireTls,   // A worker does not hear that the sender requires TLS.
    kForgetWaiver,       // A worker does not hear that the sender waives TLS.
    kForgetSigning,      // A worker does not sign.
    kDropReport,         // Now and then a report to a sender is not written.
    kDoubleReport,       // Now and then it is written twice, under two ids.
    kLoseTlsRow,         // Now and then a session is not counted in the commit of its verdict.
    kCountTwice,         // Now and then the sessions of a verdict are counted twice.
    kKeepTlsRow,         // The rows of a report on TLS do not end with it.
    kTlsReportApart,     // The rows end, and the report is not in that commit.
    kCount,
  };
};
const char* MutantName(Mutant::Kind kind);

// What outlives a crash, and what is to go wrong.
struct SimDisk {
  using Map = std::map<std::string, std::string, std::less<>>;
  struct Change {
    queue::Family family;
    std::string key;
    std::optional<std::string> value;  // Nothing: deleted.
    std::string to;                    // Not empty: the range from `key` to here is deleted.
  };
  using Changes = std::vector<Change>;

  SimDisk();

  void Apply(const Changes& changes);
  // The process died: what was in doubt is decided.
  void Crash(World& world);
  std::size_t size(queue::Family family) const { return families[static_cast<int>(family)]->size(); }

  // Copied on write while a cursor or a snapshot looks at them.
  std::array<std::shared_ptr<Map>, queue::kFamilies> families;
  std::optional<Changes> doubtful;  // A write that failed, until the store is reopened.

  // Faults.
  double failing_writes = 0;  // Of all writes.
  double failing_reads = 0;
  double crashing_writes = 0;
  double sick = 0;    // At each look at its health.
  bool full = false;  // For measure_disk.

  // Sees what comes to disk; `meta` is as it was before.
  std::function<void(const Changes&, const Map& meta)> witness;

  Mutant::Kind mutant = Mutant::kNone;
  std::function<void()> undo;  // kForgetSync: what a crash does to the last commit.
};

// `died`: a write asks that the process dies now; afterwards this store does nothing any more. `name`: for the trace.
std::unique_ptr<queue::Store> OpenSimStore(World& world, SimDisk& disk, std::string name, std::function<void()> died);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_SIM_STORE_H_
