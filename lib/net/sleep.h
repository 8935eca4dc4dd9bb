// Waiting for time to pass.
#ifndef HIKYAKU_LIB_NET_SLEEP_H_
#define HIKYAKU_LIB_NET_SLEEP_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/net/asio.h"

namespace hikyaku::net {

// Ok after `duration` (at once where it is not positive, but other work gets a turn); kCancelled when the task is
// cancelled before.
awaitable<absl::Status> Sleep(absl::Duration duration);

}  // namespace hikyaku::net

#endif  // HIKYAKU_LIB_NET_SLEEP_H_
