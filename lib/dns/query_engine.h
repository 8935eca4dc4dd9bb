// Carries one question to a DNS server and brings the answer's bytes: what the caching resolver stands on, and what its
// tests replace.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_DNS_QUERY_ENGINE_H_
#define HIKYAKU_LIB_DNS_QUERY_ENGINE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "lib/dns/dns_message.h"

namespace hikyaku::dns {

class QueryEngine {
 public:
  // The whole response message (its code is NOERROR or NXDOMAIN), or:
  //   kUnavailable       SERVFAIL, refused, no server, a broken answer.
  //   kDeadlineExceeded  No server answered, after all tries.
  //   kCancelled         The engine stops.
  using Done = std::function<void(absl::StatusOr<std::string>)>;

  // Answers what is still open with kCancelled; calls nothing afterwards.
  virtual ~QueryEngine() = default;

  // Never blocks. `name` is in the form of NormaliseName. `done` is called once, on any thread, perhaps before this
  // returns, and must be quick.
  virtual void Query(std::string name, RecordType type, Done done) = 0;
};

}  // namespace hikyaku::dns

#endif  // HIKYAKU_LIB_DNS_QUERY_ENGINE_H_
