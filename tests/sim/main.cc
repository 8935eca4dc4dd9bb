// Runs seeds of the simulation: see tests/sim/run.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/sim/simulation.h"

namespace hikyaku::sim {
namespace {

struct Flags {
  std::uint64_t seeds = 500;
  std::uint64_t first = 1;
  Mutant::Kind mutant = Mutant::kNone;
  bool trace = false;
  bool hashes = false;
};

bool Parse(int argc, char** argv, Flags& flags) {
  std::vector<std::uint64_t> numbers;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--trace") {
      flags.trace = true;
    } else if (arg == "--hashes") {
      flags.hashes = true;
    } else if (arg == "--mutant" && i + 1 < argc) {
      const std::string name = argv[++i];
      for (int kind = 0; kind < Mutant::kCount; ++kind) {
        if (name == MutantName(static_cast<Mutant::Kind>(kind))) flags.mutant = static_cast<Mutant::Kind>(kind);
      }
      if (flags.mutant == Mutant::kNone) return false;
    } else if (char* end; numbers.size() < 2) {
      numbers.push_back(std::strtoull(arg.c_str(), &end, 10));
      if (*end != '\0') return false;
    } else {
      return false;
    }
  }
  if (!numbers.empty()) flags.seeds = numbers[0];
  if (numbers.size() > 1) flags.first = numbers[1];
  return true;
}

void Add(Books::Counts& sum, const Books::Counts& counts) {
  sum.mails += counts.mails;
  sum.accepted += counts.accepted;
  sum.refused += counts.refused;
  sum.unknown += counts.unknown;
  sum.taken += counts.taken;
  sum.duplicates += counts.duplicates;
  sum.twins += counts.twins;
  sum.bounced += counts.bounced;
  sum.expired += counts.expired;
  sum.faults += counts.faults;
  sum.reports += counts.reports;
  sum.tls_reports += counts.tls_reports;
  sum.tls_sessions += counts.tls_sessions;
  sum.promises.clear += counts.promises.clear;
  sum.promises.dane += counts.promises.dane;
  sum.promises.required += counts.promises.required;
  sum.promises.waived += counts.promises.waived;
  sum.promises.encrypted += counts.promises.encrypted;
  sum.promises.proved += counts.promises.proved;
  sum.promises.sts += counts.promises.sts;
  sum.promises.fell_back += counts.promises.fell_back;
  sum.promises.is_signed += counts.promises.is_signed;
}

int Main(int argc, char** argv) {
  Flags flags;
  if (!Parse(argc, argv, flags)) {
    std::fprintf(stderr, "usage: simulate [SEEDS [FIRST]] [--mutant NAME] [--trace] [--hashes]\nmutants:");
    for (int kind = 1; kind < Mutant::kCount; ++kind) {
      std::fprintf(stderr, " %s", MutantName(static_cast<Mutant::Kind>(kind)));
    }
    std::fprintf(stderr, "\n");
    return 2;
  }
  Books::Counts sum;
  std::uint64_t failed = 0, events = 0;
  absl::Duration time;
  for (std::uint64_t seed = flags.first; seed < flags.first + flags.seeds; ++seed) {
    const Report report = Simulate(seed, flags.mutant, flags.trace);
    Add(sum, report.counts);
    events += report.events;
    time += report.virtual_time;
    if (flags.hashes) absl::PrintF("seed %d: trace %016x, %d events\n", seed, report.trace_hash, report.events);
    if (report.problems.empty()) continue;
    ++failed;
    absl::PrintF("seed %d FAILED, trace %016x; replay it with: tests/sim/run 1 %d --trace\n", seed, report.trace_hash,
                 seed);
    for (const std::string& problem : report.problems) absl::PrintF("  %s\n", problem);
    std::fflush(stdout);
  }
  absl::PrintF(
      "%d seeds, %d failed; %s of virtual time, %d events, %d faults; %d mails: %d accepted, %d refused, %d in doubt; "
      "%d copies taken, %d of them explained duplicates (%d by twins of a key), %d bounced, %d expired; %d reports to "
      "senders; %d copies by TLS (%d to hosts that had to prove themselves, %d of them by TLSA records, %d by a policy "
      "of MTA-STS), %d in clear text (%d where TLS was broken), %d that required TLS all the way, %d that a policy "
      "would "
      "have kept if their sender had not waived it, %d signed; %d sessions counted for %d reports on TLS\n",
      flags.seeds, failed, absl::FormatDuration(time), events, sum.faults, sum.mails, sum.accepted, sum.refused,
      sum.unknown, sum.taken, sum.duplicates, sum.twins, sum.bounced, sum.expired, sum.reports, sum.promises.encrypted,
      sum.promises.proved, sum.promises.dane, sum.promises.sts, sum.promises.clear, sum.promises.fell_back,
      sum.promises.required, sum.promises.waived, sum.promises.is_signed, sum.tls_sessions, sum.tls_reports);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hikyaku::sim

int main(int argc, char** argv) { return hikyaku::sim::Main(argc, argv); }
