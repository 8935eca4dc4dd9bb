#include "lib/base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <random>

#include "absl/strings/escaping.h"
#include "lib/base/check.h"

namespace hikyaku {
namespace {

// Seeded once a thread from the kernel: jitter is drawn often and need not be secret.
std::mt19937_64& ThreadEngine() {
  thread_local std::mt19937_64 engine([] {
    std::uint64_t seed;
    RandomBytes(&seed, sizeof seed);
    return seed;
  }());
  return engine;
}

}  // namespace

void RandomBytes(void* out, std::size_t size) {
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

double RandomFraction() { return std::uniform_real_distribution<double>(0.0, 1.0)(ThreadEngine()); }

std::uint32_t RandomBelow(std::uint32_t bound) {
  return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(ThreadEngine());
}

}  // namespace hikyaku
