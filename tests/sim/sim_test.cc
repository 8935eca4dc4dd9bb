// The 500 seeds of ./test, the replay, and the proof that planted bugs are found.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "tests/sim/simulation.h"

namespace hikyaku::sim {
namespace {

constexpr int kBatches = 10;
constexpr int kSeeds = 500;

class Seeds : public testing::TestWithParam<int> {};

TEST_P(Seeds, KeepEveryPromise) {
  const int first = 1 + GetParam() * (kSeeds / kBatches);
  for (int seed = first; seed < first + kSeeds / kBatches; ++seed) {
    for (const std::string& problem : Simulate(seed).problems) {
      ADD_FAILURE() << "seed " << seed << " (tests/sim/run 1 " << seed << " --trace): " << problem;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Simulation, Seeds, testing::Range(0, kBatches));

TEST(Replay, OfASeedInTheSameProcessIsExact) {
  for (int seed = 1000; seed < 1010; ++seed) {
    const Report first = Simulate(seed);
    const Report again = Simulate(seed);
    EXPECT_EQ(first.trace_hash, again.trace_hash) << "seed " << seed;
    EXPECT_EQ(first.events, again.events) << "seed " << seed;
  }
}

std::string Hashes() {
  std::FILE* const pipe = popen("tests/sim/simulate 20 2000 --hashes", "r");
  std::string out;
  std::array<char, 4096> bytes;
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), pipe)) out.append(bytes.data(), count);
  pclose(pipe);
  return out;
}

// Another process has other addresses, and hash maps in another order.
TEST(Replay, OfASeedInAnotherProcessIsExact) {
  const std::string first = Hashes();
  EXPECT_NE(first.find("seed 2019: trace "), std::string::npos) << first;
  EXPECT_EQ(first, Hashes());
}

class Mutants : public testing::TestWithParam<int> {};

// A planted bug is found soon; if not, the simulation has gone blind.
TEST_P(Mutants, AreCaught) {
  const auto mutant = static_cast<Mutant::Kind>(GetParam());
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const Report report = Simulate(seed, mutant);
    if (report.problems.empty()) continue;
    absl::PrintF("%s is caught at seed %d: %s\n", MutantName(mutant), seed, report.problems[0]);
    return;
  }
  FAIL() << MutantName(mutant) << " lives through " << kSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Simulation, Mutants, testing::Range(1, static_cast<int>(Mutant::kCount)));

}  // namespace
}  // namespace hikyaku::sim
