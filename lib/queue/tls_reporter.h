// Sends the daily reports on TLS (RFC 8460): when a UTC day is over, and after a delay of up to four hours that differs
// from domain to domain (§4.1: not all at once), the rows of a domain become one mail to the addresses that its record
// named. Mail and end of the rows are one commit: a report is never lost and never sent twice, whatever breaks between.
//
// The mail is queued here, whoever owns the domains of its addresses, as reports to senders are. Its envelope says
// tls_optional: a report on broken TLS must arrive (§3); sessions that bring such mail are not counted again. Its
// sender is the address in From (RFC 5321 §4.5.5: only what a standard says has the null one), and NOTIFY=NEVER: nobody
// is told of its failure but the log and the events.
//
// https addresses are passed over: POST is not built.
//
// Threading: Tick from one thread; it works on the engine's housekeepers and, one step at a time, on the committer.
#ifndef HIKYAKU_LIB_QUEUE_TLS_REPORTER_H_
#define HIKYAKU_LIB_QUEUE_TLS_REPORTER_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::queue {

struct Engine;

class TlsReporter {
 public:
  explicit TlsReporter(Engine& engine) : engine_(engine) {}

  // Call each second or so.
  void Tick();

  // When the report on a domain's day is sent: 5 minutes to 4 hours after its end.
  static absl::Time DueTime(std::uint32_t day, absl::string_view domain, absl::string_view shard);

 private:
  class SendOperation;

  void Look();
  void Settled(bool more);

  Engine& engine_;
  std::int64_t next_look_ = 0;
  std::atomic<bool> busy_{false};  // A look, or what it found, is on its way.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_TLS_REPORTER_H_
