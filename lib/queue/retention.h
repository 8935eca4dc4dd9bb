// Forgets what is old: events and their traces, and idempotency records that are over. A little at a time.
//
// Threading: Tick from one thread; its operations run on the committer's, its walks on the engine's housekeepers, and
//            never two of a kind at once.
#ifndef HIKYAKU_LIB_QUEUE_RETENTION_H_
#define HIKYAKU_LIB_QUEUE_RETENTION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace hikyaku::queue {

struct Engine;

class Retention {
 public:
  explicit Retention(Engine& engine) : engine_(engine) {}

  // Call each second or so.
  void Tick();

 private:
  class EventsOperation;
  class KeysOperation;

  std::uint64_t FirstSince(std::int64_t micros) const;
  void DropEvents(std::int64_t now_micros);
  void GoOn(bool well);
  void LookAtKeys();

  Engine& engine_;
  std::int64_t next_events_ = 0;   // When to look at events again.
  std::int64_t next_keys_ = 0;     // When to begin another round over the keys.
  std::atomic<bool> busy_{false};  // A round over the keys is on its way.
  std::string key_from_;           // Where it goes on; of whoever makes the step while busy.
  // Of the committer's thread: what is gone already.
  std::uint64_t dropped_ = 0;
  std::uint32_t dropped_day_ = 0;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_RETENTION_H_
