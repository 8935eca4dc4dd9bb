// Routes that end here: discard, reject, and the capture to a Maildir.
//
// Threading:  one coroutine a call; safe beside others.
#ifndef HIKYAKU_LIB_DELIVERY_LOCAL_DELIVERY_H_
#define HIKYAKU_LIB_DELIVERY_LOCAL_DELIVERY_H_

#include "lib/delivery/maildir.h"
#include "lib/delivery/route.h"
#include "lib/net/asio.h"
#include "lib/outcome/outcome.h"
#include "lib/queue/shard.h"

namespace hikyaku::delivery {

// The fate of every recipient of `lease` at `hop`, which is not remote(). All outlive the call; `maildir` may be
// missing.
//
// A captured file begins with Return-Path, and with X-Envelope-From, X-Envelope-To (a line for each recipient),
// X-Hikyaku-Id and, where there is one, X-Hikyaku-Tenant; then follows the mail as it was accepted.
awaitable<outcome::Outcome> DeliverLocally(const NextHop& hop, const queue::Lease& lease, Maildir* maildir);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_LOCAL_DELIVERY_H_
