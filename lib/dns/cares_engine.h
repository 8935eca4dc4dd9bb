// A QueryEngine over c-ares: one thread of its own runs the channel, its sockets and its timers, so that c-ares, which
// is not thread-safe, is never touched by another.
//
// UDP with EDNS; a truncated answer is asked again over TCP; SERVFAIL and silence go on to the next server.
#ifndef HIKYAKU_LIB_DNS_CARES_ENGINE_H_
#define HIKYAKU_LIB_DNS_CARES_ENGINE_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lib/dns/query_engine.h"
#include "lib/net/endpoint.h"

namespace hikyaku::dns {

struct CaresOptions {
  std::vector<net::Endpoint> servers;         // Empty: the system's (resolv.conf).
  absl::Duration timeout = absl::Seconds(2);  // Of the first try of a server; it doubles with each round.
  int tries = 3;                              // Rounds through the servers.
  bool ask_for_proof = false;                 // Ask with DO and AD, so that a validating server says what it validated.
  std::size_t max_open = 10'000;              // Queries at a time; more get kUnavailable at once.
};

// kUnavailable: the channel cannot be made (no memory, no descriptors, a broken resolv.conf).
absl::StatusOr<std::unique_ptr<QueryEngine>> CreateCaresEngine(CaresOptions options);

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_CARES_ENGINE_H_
