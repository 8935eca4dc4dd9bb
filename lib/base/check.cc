#include "lib/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace hikyaku {

void CheckFailed(const char* file, int line, absl::string_view what) {
  std::fprintf(stderr, "%s:%d: broken invariant: %.*s\n", file, line, static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace hikyaku
