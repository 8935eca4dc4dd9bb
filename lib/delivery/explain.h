// What would become of a mail, and why: the same route, plan, TLS policy and sources that an attempt uses, told instead
// of done.
//
// Non-goals:  the queue's limits (its shard knows what waits); connecting: nobody is spoken to but DNS, and the
//             domain's policy host where it announces an MTA-STS policy.
// Threading:  one coroutine.
#ifndef HIKYAKU_LIB_DELIVERY_EXPLAIN_H_
#define HIKYAKU_LIB_DELIVERY_EXPLAIN_H_

#include <string>
#include <vector>

#include "lib/base/clock.h"
#include "lib/delivery/attempt.h"
#include "lib/delivery/route.h"
#include "lib/dns/resolver.h"
#include "lib/net/asio.h"

namespace hikyaku::delivery {

// One line of the answer. Several of one kind follow each other ("MX").
struct Explained {
  std::string what;  // "route", "host", …
  std::string text;
  std::string why;  // Which key or record says so; empty where it speaks for itself.
};

// `author`: the domain of the mail's From, an A-label: whose keys sign. All outlive the call.
awaitable<std::vector<Explained>> Explain(RouteQuery query, std::string author, const AttemptOptions& options, const Network& network,
                                          dns::Resolver& resolver, Clock& clock);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_EXPLAIN_H_
