// Which delivery is next, with mail for very many domains in memory.
#include "lib/queue/schedule.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"

namespace hikyaku::queue {
namespace {

// One delivery for each of `domains` is ready; of those whose number is not a multiple of `every`, the domain is
// suspended.
void Fill(std::uint32_t domains, std::uint32_t every, Schedule& schedule) {
  for (std::uint32_t i = 0; i < domains; ++i) {
    auto item = std::make_shared<Item>();
    item->key = absl::StrCat("0123456789abcdef", "d", i, ".example.net");
    item->tenant = "default";
    item->size = 4096;
    item->domain = &schedule.Get(absl::StrCat("d", i, ".example.net"));
    ++item->domain->open;
    schedule.Hold(*item);
    schedule.Push(item);
    if (i % every != 0) schedule.Suspend(*item->domain, true);
  }
}

// A pick, the end of its attempt, and another delivery of the domain in its place.
void Pick(benchmark::State& state, std::uint32_t every) {
  const auto domains = static_cast<std::uint32_t>(state.range(0));
  Schedule schedule({.domain_concurrency = 20, .window = domains + 1});
  Fill(domains, every, schedule);
  for (auto _ : state) {
    ItemPtr item = schedule.Pop();
    if (item == nullptr) {
      state.SkipWithError("nothing to pick");
      break;
    }
    schedule.Release(*item->domain);
    schedule.Push(std::move(item));
  }
  state.SetItemsProcessed(state.iterations());
}

void PickAmongDomains(benchmark::State& state) { Pick(state, 1); }
BENCHMARK(PickAmongDomains)->Arg(1)->Arg(1000)->Arg(100'000);

// Nine domains of ten are suspended: they must cost the pick nothing.
void PickPastSuspended(benchmark::State& state) { Pick(state, 10); }
BENCHMARK(PickPastSuspended)->Arg(100'000);

}  // namespace
}  // namespace hikyaku::queue
