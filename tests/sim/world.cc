#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "lib/base/random_replacement.h"

namespace hikyaku::sim {
namespace {

Random* product_random = nullptr;

void Fill(void* out, std::size_t size) {
  char* at = static_cast<char*>(out);
  while (size > 0) {
    const std::uint64_t word = product_random->Next();
    const std::size_t some = std::min(size, sizeof word);
    std::memcpy(at, &word, some);
    at += some;
    size -= some;
  }
}

}  // namespace

World::World(std::uint64_t seed, bool print) : random(seed * 2 + 1), print_(print) {
  product_random = new Random(~seed);
  ReplaceRandom(&Fill);
}

World::~World() {
  ReplaceRandom(nullptr);
  delete product_random;
  product_random = nullptr;
}

void World::After(absl::Duration delay, absl::AnyInvocable<void()> event) {
  queue_.emplace(std::make_pair(now() + std::max(delay, absl::ZeroDuration()), ++count_), std::move(event));
}

void World::Leap(absl::Duration time) {
  leapt_ += time;
  Trace("it is ", absl::FormatTime(absl::RFC3339_sec, wall(), absl::UTCTimeZone()));
}

bool World::RunUntil(absl::Duration end, const std::function<bool()>& done) {
  Settle();
  Look();
  while (!done()) {
    const absl::Duration next_event = queue_.empty() ? absl::InfiniteDuration() : queue_.begin()->first.first;
    const absl::Duration next = std::min(next_event, loop_.next());
    if (next > end) {
      loop_.MoveTo(end);
      return false;
    }
    loop_.MoveTo(next);
    if (next_event <= next) {
      auto node = queue_.extract(queue_.begin());
      node.mapped()();
      Settle();
    }
    Look();
  }
  return true;
}

void World::Look() {
  for (const auto& look : looks_) look();
}

void World::TraceLine(const std::string& line) {
  for (const char c : line) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  hash_ = (hash_ ^ '\n') * 0x100000001b3;
  if (print_) std::printf("%s\n", line.c_str());
}

}  // namespace hikyaku::sim
