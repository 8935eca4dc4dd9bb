// Makes room. While the disk is short: a body that was deleted keeps its place until compaction drops the file that holds
// it, and when no new mail may come in nothing else makes RocksDB compact. And a second after the start, then each minute:
// a body that was left because the other deliveries of its message could not be read when one of them ended
// (keys::kLeftBody) is looked at again.
//
// Threading: Tick and Stop from one thread at a time; compaction is done by the engine's housekeepers, the rest by the
//            committer.
#ifndef HIKYAKU_LIB_QUEUE_RECLAIM_H_
#define HIKYAKU_LIB_QUEUE_RECLAIM_H_

#include <atomic>
#include <cstdint>
#include <optional>

namespace hikyaku::queue {

struct Engine;

class Reclaimer {
 public:
  explicit Reclaimer(Engine& engine) : engine_(engine) {}

  // Call each second or so.
  void Tick();

  // Cuts short what runs. Before the housekeepers are stopped.
  void Stop() { stop_ = true; }

 private:
  class LeftBodies;

  void LookForLeftBodies();
  void Reclaim(std::uint64_t ended);

  Engine& engine_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> busy_{false};
  std::atomic<std::int64_t> next_{0};  // Not before this time.
  std::optional<std::uint64_t>
      ended_;  // Recipients that had ended when it was done last; nothing ends: no new garbage.
  std::atomic<bool> looking_{false};  // For bodies that were left.
  std::int64_t next_look_ = 0;        // By the clock of leases.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_RECLAIM_H_
