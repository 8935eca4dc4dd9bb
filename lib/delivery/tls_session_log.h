// What reports on TLS are to tell of the sessions of one attempt: each session that was opened, once, where the domain
// asks for reports.
//
// Source:     RFC 8460 §4.3 (result types), §3 (the record that asks).
// Non-goals:  counting them up (lib/queue/tls_tally.h); sessions that were kept from another mail: they were told of.
// Threading:  one owner, the coroutine of the attempt.
#ifndef HIKYAKU_LIB_DELIVERY_TLS_SESSION_LOG_H_
#define HIKYAKU_LIB_DELIVERY_TLS_SESSION_LOG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/base/clock.h"
#include "lib/delivery/connection.h"
#include "lib/delivery/host_tls.h"
#include "lib/delivery/plan.h"
#include "lib/dns/resolver.h"
#include "lib/mta_sts/fetch.h"
#include "lib/net/asio.h"

namespace hikyaku::delivery {

class TlsSessionLog {
 public:
  // A report is not worth a longer wait; the answer is kept by the resolver.
  static constexpr absl::Duration kLookupLimit = absl::Seconds(2);

  // `wanted`: else nothing is looked up or noted. What is referred to outlives the log.
  TlsSessionLog(bool wanted, std::string domain, dns::Resolver& resolver, Clock& clock, Budget& budget);

  // Asks once whether the domain wants reports; a look-up that fails says no. kCancelled: we are stopping.
  awaitable<absl::Status> LookUp();

  // A session to a host under `policy` has been opened, or has failed at that. `proxied`: its local address is not what
  // the host saw.
  // False: it says nothing of TLS, or nobody asks.
  bool Note(Connection& connection, const HostPolicy& policy, bool proxied);

  // `host` is passed over by the word of a published policy.
  void NotePassedOver(const std::string& host, const HostPolicy& policy);

  // The session that was noted last goes without an MTA-STS policy, which the domain announces but cannot be had.
  void NoteStsTrouble(mta_sts::FetchResult trouble, const std::string& why);

  std::vector<storage::v1::TlsSession> Take() { return std::move(sessions_); }

 private:
  storage::v1::TlsSession Begin(const HostPolicy& policy) const;

  bool wanted_;
  bool asked_ = false;
  const std::string domain_;
  dns::Resolver& resolver_;
  Clock& clock_;
  Budget& budget_;
  std::vector<std::string> report_to_;
  std::vector<storage::v1::TlsSession> sessions_;
};

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_TLS_SESSION_LOG_H_
