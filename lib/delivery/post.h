// What is POSTed instead of mailed: reports on TLS to the URLs that domains name for them (Envelope.post_type).
//
// Source:     RFC 8460 §3, §5.4.
// Non-goals:  when to try again (the shard).
// Threading:  one coroutine a call; safe beside others.
#ifndef HIKYAKU_LIB_DELIVERY_POST_H_
#define HIKYAKU_LIB_DELIVERY_POST_H_

#include <optional>
#include <string>

#include "lib/https/client.h"
#include "lib/net/asio.h"
#include "lib/outcome/outcome.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

// The fate of the one recipient of `lease`, which is a URL. Any answer of 2xx is a success; nothing of an answer but
// its head is read, and no redirect is followed. `lease` outlives the call. Nothing: we are stopping.
awaitable<std::optional<outcome::Outcome>> Post(https::Web web, const queue::Lease& lease);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_POST_H_
