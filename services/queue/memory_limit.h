// How much memory this process should use at the most: the queue's gate closes beyond it.
//
// Threading: pure, but for the reading of files.
#ifndef HIKYAKU_SERVICES_QUEUE_MEMORY_LIMIT_H_
#define HIKYAKU_SERVICES_QUEUE_MEMORY_LIMIT_H_

#include <cstdint>
#include <string>

namespace hikyaku::queue {

// 80 % of `machine_bytes`, or of the memory limit of our control group (version 1 or 2) or of one above it, whichever
// is the least. `root` is where /proc and /sys are found: for tests.
std::uint64_t MemoryLimit(std::uint64_t machine_bytes, const std::string& root = "");

// The memory of this machine.
std::uint64_t MachineMemory();

}  // namespace hikyaku::queue

#endif  // HIKYAKU_SERVICES_QUEUE_MEMORY_LIMIT_H_
