// Sends the daily reports on TLS (RFC 8460): when a UTC day is over, and after a delay of up to four hours that differs
// from domain to domain (§4.1: not all at once), the rows of a domain become what lib/queue/tls_report_maker.h makes of
// them. Mails, POSTs and the end of the rows are one commit: a report is never lost and never made twice, whatever
// breaks between. From then on the queue delivers them as it does all else: at least once, or until they expire.
//
// They are queued here, whoever owns the domains of their addresses, as reports to senders are. The envelope of a mail
// says tls_optional: a report on broken TLS must arrive (§3); sessions that bring such mail are not counted again. Its
// sender is the address in From (RFC 5321 §4.5.5: only what a standard says has the null one), and NOTIFY=NEVER: nobody
// is told of its failure but the log and the events.
//
// Threading: Tick from one thread, SendNow from any; they work on the engine's housekeepers and, one step at a time, on
// the committer. A domain's rows that both find are sent by the one that commits first; the other leaves them.
#ifndef HIKYAKU_LIB_QUEUE_TLS_REPORTER_H_
#define HIKYAKU_LIB_QUEUE_TLS_REPORTER_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "hikyaku/v1/admin.pb.h"
#include "lib/queue/shard.h"

namespace hikyaku::queue {

struct Engine;

class TlsReporter {
 public:
  explicit TlsReporter(Engine& engine) : engine_(engine) {}

  // Call each second or so.
  void Tick();

  // Sends what is counted and due by nothing but the wish; what is counted later makes another report. `domain` as in
  // keys. kFailedPrecondition: no report can be made (reports.tls.from). kUnavailable: stopping, or the store;
  // kAborted: the counts change too fast. After both, some may have been sent, and the call may be repeated.
  void SendNow(v1::SendTlsReportsRequest request, Done<v1::SendTlsReportsResponse> done);

  // When the report on a domain's day is sent: 5 minutes to 4 hours after its end.
  static absl::Time DueTime(std::uint32_t day, absl::string_view domain, absl::string_view shard);

 private:
  class SendOperation;
  class Wish;

  void Look();
  void Settled(bool more);

  Engine& engine_;
  std::int64_t next_look_ = 0;
  std::atomic<bool> busy_{false};  // A look, or what it found, is on its way.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_TLS_REPORTER_H_
