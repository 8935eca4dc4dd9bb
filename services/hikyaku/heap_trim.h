// Gives freed memory back to the system. After a burst or the end of a large queue, malloc keeps what was freed between
// what is still in use; the process would look as large as it ever was, and be judged by that.
//
//   HeapTrim trim;
//   …each second or so:  trim.Tick(absl::Now());
//
// Threading: one thread.
#ifndef HIKYAKU_SERVICES_HIKYAKU_HEAP_TRIM_H_
#define HIKYAKU_SERVICES_HIKYAKU_HEAP_TRIM_H_

#include "absl/time/time.h"

namespace hikyaku::cli {

class HeapTrim {
 public:
  // Looks now and then whether much is free; gives it back when that was so twice in a row, for giving back what is
  // taken again at once costs more than it saves.
  void Tick(absl::Time now);

 private:
  absl::Time next_look_ = absl::InfinitePast();
  bool much_free_ = false;  // At the last look.
};

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_HEAP_TRIM_H_
