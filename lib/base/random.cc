#include "lib/base/random.h"

#include <sys/random.h>

#include <atomic>
#include <cerrno>
#include <random>

#include "absl/strings/escaping.h"
#include "lib/base/check.h"
#include "lib/base/random_replacement.h"

namespace hikyaku {
namespace {

std::atomic<RandomSource> replacement{nullptr};

// Seeded once a thread from the kernel: jitter is drawn often and need not be secret.
std::mt19937_64& ThreadEngine() {
  thread_local std::mt19937_64 engine([] {
    std::uint64_t seed;
    RandomBytes(&seed, sizeof seed);
    return seed;
  }());
  return engine;
}

// Where numbers come from: the thread's engine, or what stands for it.
class Engine {
 public:
  using result_type = std::uint64_t;
  static constexpr result_type min() { return std::mt19937_64::min(); }
  static constexpr result_type max() { return std::mt19937_64::max(); }

  result_type operator()() {
    const RandomSource source = replacement.load(std::memory_order_relaxed);
    if (source == nullptr) return ThreadEngine()();
    result_type number;
    source(&number, sizeof number);
    return number;
  }
};

}  // namespace

void ReplaceRandom(RandomSource source) { replacement.store(source); }

void RandomBytes(void* out, std::size_t size) {
  if (const RandomSource source = replacement.load(std::memory_order_relaxed); source != nullptr) {
    return source(out, size);
  }
  char* at = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t got = getrandom(at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    HIKYAKU_CHECK(got > 0);
    at += got;
    size -= static_cast<std::size_t>(got);
  }
}

std::string RandomHex(std::size_t size) {
  std::string bytes(size, '\0');
  RandomBytes(bytes.data(), size);
  return absl::BytesToHexString(bytes);
}

double RandomFraction() {
  Engine engine;
  return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
}

std::uint32_t RandomBelow(std::uint32_t bound) {
  Engine engine;
  return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(engine);
}

}  // namespace hikyaku
