// One run: a cluster of two front-ends, three shards and two workers, mail to fifteen domains, and the faults that the
// seed chooses; then everything is healed, and the queue runs empty. It goes on with less mail in the night, when the
// reports on TLS of the day before are sent. At the end the books are checked.
#ifndef HIKYAKU_TESTS_SIM_SIMULATION_H_
#define HIKYAKU_TESTS_SIM_SIMULATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/sim/books.h"
#include "tests/sim/sim_store.h"

namespace hikyaku::sim {

struct Report {
  std::uint64_t seed = 0;
  std::uint64_t trace_hash = 0;
  std::uint64_t events = 0;
  absl::Duration virtual_time;
  Books::Counts counts;
  std::vector<std::string> problems;  // Empty: every promise was kept.
};

// `print`: writes the trace to standard output.
Report Simulate(std::uint64_t seed, Mutant::Kind mutant = Mutant::kNone, bool print = false);

}  // namespace hikyaku::sim

#endif  // HIKYAKU_TESTS_SIM_SIMULATION_H_
