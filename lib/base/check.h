// CHECK: our own invariant, whose break ends the process. What a peer, a disk or a person can cause is returned
// as a Status instead, never checked.
#ifndef HIKYAKU_LIB_BASE_CHECK_H_
#define HIKYAKU_LIB_BASE_CHECK_H_

#include "absl/strings/string_view.h"

namespace hikyaku {

// Writes `what` with its place to standard error and aborts.
[[noreturn]] void CheckFailed(const char* file, int line, absl::string_view what);

}  // namespace hikyaku

#define HIKYAKU_CHECK(condition)                                               \
  (__builtin_expect(static_cast<bool>(condition), true) ? static_cast<void>(0) \
                                                        : ::hikyaku::CheckFailed(__FILE__, __LINE__, #condition))

#endif  // HIKYAKU_LIB_BASE_CHECK_H_
