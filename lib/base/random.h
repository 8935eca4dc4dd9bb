// Random bytes and numbers that nobody can guess, from the kernel's generator.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_BASE_RANDOM_H_
#define HIKYAKU_LIB_BASE_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace hikyaku {

// Fills `size` bytes at `out`. Aborts where the kernel has no random bytes: nothing safe can be done then.
void RandomBytes(void* out, std::size_t size);

// `size` random bytes as 2 * size hexadecimal digits, lower case.
std::string RandomHex(std::size_t size);

// Uniform in [0, 1). For jitter and shuffles, not for secrets.
double RandomFraction();

// Uniform in [0, bound); `bound` > 0. For shuffles, not for secrets.
std::uint32_t RandomBelow(std::uint32_t bound);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_RANDOM_H_
