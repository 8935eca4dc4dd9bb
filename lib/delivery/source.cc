#include "lib/delivery/source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hikyaku::delivery {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

std::int64_t DayNumber(absl::Time at) { return absl::ToUnixSeconds(at) / (24 * 60 * 60); }

// Where the mail goes that no configuration speaks of.
const Source& KernelsChoice() {
  static const Source* const source = new Source;
  return *source;
}

}  // namespace

std::optional<std::uint64_t> WarmUp::LimitAt(absl::Time now) const {
  if (now < start) return 0;
  const std::int64_t day = (now - start) / kDay;
  if (day >= static_cast<std::int64_t>(days.size())) return std::nullopt;
  return days[static_cast<std::size_t>(day)];
}

absl::StatusOr<absl::Time> ParseDay(absl::string_view text) {
  absl::Time day;
  std::string error;
  if (text.size() != 10 || !absl::ParseTime("%Y-%m-%d", text, absl::UTCTimeZone(), &day, &error)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text.substr(0, 40), "\" is no day: write one as 2026-12-01"));
  }
  return day;
}

bool WarmUpLedger::Reserve(const Source& source, absl::Time now) {
  if (!source.warm_up) return true;
  const std::optional<std::uint64_t> limit = source.warm_up->LimitAt(now);
  absl::MutexLock lock(&mutex_);
  Day& day = days_[source.name];
  if (day.number != DayNumber(now)) day = {DayNumber(now), 0};
  if (limit && day.taken >= *limit) return false;
  ++day.taken;
  return true;
}

void WarmUpLedger::GiveBack(const Source& source, absl::Time now) {
  if (!source.warm_up) return;
  absl::MutexLock lock(&mutex_);
  Day& day = days_[source.name];
  if (day.number == DayNumber(now) && day.taken > 0) --day.taken;
}

std::uint64_t WarmUpLedger::Taken(const Source& source, absl::Time now) const {
  absl::MutexLock lock(&mutex_);
  const auto found = days_.find(source.name);
  return found == days_.end() || found->second.number != DayNumber(now) ? 0 : found->second.taken;
}

Sources::Sources() { pools_["default"] = {"default", {Source()}, true}; }

absl::StatusOr<Sources> Sources::Create(std::vector<SourcePool> pools) {
  Sources sources;
  absl::flat_hash_map<std::string, bool> seen;
  for (SourcePool& pool : pools) {
    if (!seen.emplace(pool.name, true).second) {
      return absl::InvalidArgumentError(absl::StrCat("delivery.source_pools: there are two pools \"", pool.name, "\""));
    }
    if (pool.sources.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("delivery.source_pools: pool \"", pool.name, "\" has no source"));
    }
    const std::string name = pool.name;
    sources.pools_[name] = std::move(pool);
  }
  return sources;
}

const SourcePool* Sources::Find(absl::string_view name) const {
  const auto found = pools_.find(name.empty() ? absl::string_view("default") : name);
  return found == pools_.end() ? nullptr : &found->second;
}

SourceChoice::~SourceChoice() {
  for (const Pick& pick : picks_) {
    if (pick.reserved) ledger_.GiveBack(*pick.source, pick.at);
  }
}

const Source* SourceChoice::For(bool v4, absl::Time now) {
  Pick& pick = picks_[v4 ? 0 : 1];
  if (pick.chosen) return pick.source;
  pick.chosen = true;
  pick.source = Choose(v4, now);
  pick.reserved = pick.source != nullptr;
  pick.at = now;
  return pick.source;
}

// The point that the seed names on the line of all weights; from a source whose plan is full on to the next.
const Source* SourceChoice::Choose(bool v4, absl::Time now) {
  std::vector<const Source*> fit;
  std::uint64_t whole = 0;
  for (const Source& source : pool_.sources) {
    if (!source.Fits(v4)) continue;
    fit.push_back(&source);
    whole += source.weight;
  }
  if (fit.empty() && pool_.kernel_fills_in) return &KernelsChoice();
  if (fit.empty()) {
    why_ = absl::StrCat("pool \"", pool_.name, "\" has no source for IPv", v4 ? 4 : 6);
    return nullptr;
  }
  while (!fit.empty() && whole > 0) {
    std::uint64_t point = seed_ % whole;
    const auto at = std::find_if(fit.begin(), fit.end(), [&](const Source* source) {
      if (point < source->weight) return true;
      point -= source->weight;
      return false;
    });
    if (ledger_.Reserve(**at, now)) return *at;
    whole -= (*at)->weight;
    fit.erase(at);
  }
  why_ = absl::StrCat("every source of pool \"", pool_.name,
                      "\" has sent the messages that its warm-up plan has for today");
  return nullptr;
}

}  // namespace hikyaku::delivery
