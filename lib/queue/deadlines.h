// The operations that time asks for: what is due comes into memory or is parked, what was parked comes back, what is
// over ends.
//
// Threading: made anywhere; they run on the committer's thread.
#ifndef HIKYAKU_LIB_QUEUE_DEADLINES_H_
#define HIKYAKU_LIB_QUEUE_DEADLINES_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/queue/committer.h"
#include "lib/queue/item.h"

namespace hikyaku::queue {

struct Engine;

// Brings what is due into memory, a bounded number at a time, and parks what has no room there.
std::unique_ptr<Operation> MakePoll(Engine& engine);

// Brings parked deliveries of domains that run low into memory.
std::unique_ptr<Operation> MakeRefill(Engine& engine);

// Ends items as expired. `owned`: they are in state kEnding, and for this operation alone; otherwise it takes those
// that are still ready when it comes to them.
std::unique_ptr<Operation> MakeExpire(Engine& engine, std::vector<ItemPtr> items, bool owned);

// Puts an item (state kEnding) off until `due_micros`, or its end if that comes first.
std::unique_ptr<Operation> MakeDelay(Engine& engine, ItemPtr item, std::int64_t due_micros);

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_DEADLINES_H_
