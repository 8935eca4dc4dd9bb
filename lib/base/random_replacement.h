// For the simulation alone: random numbers that a seed decides, so that a run can be replayed. A process that serves
// never calls this; Bazel lets only tests/sim see it.
#ifndef HIKYAKU_LIB_BASE_RANDOM_REPLACEMENT_H_
#define HIKYAKU_LIB_BASE_RANDOM_REPLACEMENT_H_

#include <cstddef>

namespace hikyaku {

using RandomSource = void (*)(void* out, std::size_t size);

// From now on every random byte and number of this process comes from `source`; null: from where they came before.
void ReplaceRandom(RandomSource source);

}  // namespace hikyaku

#endif  // HIKYAKU_LIB_BASE_RANDOM_REPLACEMENT_H_
