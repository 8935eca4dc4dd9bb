#include "services/hikyaku/heap_trim.h"

#include <malloc.h>

#include <cstddef>

#include "absl/time/clock.h"
#include "lib/base/log.h"

namespace hikyaku::cli {
namespace {

// A look walks the lists of what is free, and trimming holds each arena for milliseconds: neither often.
constexpr absl::Duration kLookPeriod = absl::Seconds(10);
constexpr absl::Duration kTrimPause = absl::Seconds(60);
// As much is no burden, and soon used again.
constexpr std::size_t kMuch = std::size_t{64} << 20;

}  // namespace

void HeapTrim::Tick(absl::Time now) {
  if (now < next_look_ && next_look_ - now <= kTrimPause) return;  // Longer ahead: the clock was set back.
  next_look_ = now + kLookPeriod;
  const struct mallinfo2 heap = mallinfo2();
  const bool before = much_free_;
  much_free_ = heap.fordblks > kMuch && heap.fordblks > heap.uordblks / 4;
  if (!before || !much_free_) return;
  const absl::Time start = absl::Now();
  malloc_trim(0);
  log::Debug("heap_trimmed", {{"free", heap.fordblks}, {"ms", absl::ToInt64Milliseconds(absl::Now() - start)}});
  much_free_ = false;
  next_look_ = now + kTrimPause;
}

}  // namespace hikyaku::cli
