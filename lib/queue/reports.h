// Reports to senders: which of a delivery's ends and delays are told, and the mail that tells them. A report is written
// in the commit that ends (or delays) its recipients: it is there if that is, once. The shard queues it itself, whoever
// owns the sender's domain, as it does with mail that spilled.
//
// Never told: the null sender (so loops end), whoever was not trusted when the mail was taken, an RPC that did not ask,
// a purge by an operator, and what NOTIFY (RFC 3461 §4.1) excludes.
//
// Source:     RFC 3461 §5.2 (who reports what), RFC 5321 §6.1; the mail itself: lib/dsn/report.h.
// Threading:  a Reporter belongs to one thread.
#ifndef HIKYAKU_LIB_QUEUE_REPORTS_H_
#define HIKYAKU_LIB_QUEUE_REPORTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "hikyaku/v1/events.pb.h"
#include "lib/dsn/report.h"
#include "lib/queue/metrics.h"
#include "lib/queue/options.h"

namespace hikyaku::queue {

struct Engine;
struct Group;

// A report as it goes to disk.
struct ReportMail {
  ReportKind kind = ReportKind::kFailed;
  std::string key;  // Of its delivery.
  std::string domain;
  std::string record, event, entry, body_key, body;
  std::int64_t due = 0;
  int recipients = 0;

  std::size_t bytes() const { return record.size() + event.size() + body.size() + 512; }
};

// `delivery` as it goes to disk, but for its body.
ReportMail MailOf(const storage::v1::Delivery& delivery);

// Queues mails in a commit; and when that is on disk, on the committer's thread. A mail without a body shares that of
// another one.
void PutMails(Group& group, const std::vector<ReportMail>& mails);
void MailsCommitted(Engine& engine, const std::vector<ReportMail>& mails);

// What one verdict, or one expiry, of a delivery tells its sender.
class Reporter {
 public:
  // `moment` tells one verdict, or the expiry, of the delivery from all others: the number of its attempt. `envelope`
  // outlives the reporter.
  Reporter(Engine& engine, const storage::v1::Envelope& envelope, const std::string& domain, int moment,
           std::int64_t now_micros);

  // Each answers the id of the report that will tell of it, as in Event.report_id; empty: none will.
  std::string NoteFailed(const storage::v1::Recipient& recipient, const v1::Outcome& outcome, absl::Time last_attempt);
  std::string NoteDelayed(const storage::v1::Recipient& recipient, const v1::Outcome& outcome);
  std::string NoteDelivered(const storage::v1::Recipient& recipient, const v1::Outcome& outcome);

  bool wanted() const;  // Some report is to be made: Make needs the body.

  // `body`: of the message; null if it cannot be read. May take long: not under a mutex.
  void Make(const std::string* body);

  // In the commit, and when it is on disk (on the committer's thread).
  void Put(Group& group) const;
  void Committed();

  std::size_t bytes() const;

 private:
  std::string IdFor(ReportKind kind) const;
  std::string Note(ReportKind kind, const storage::v1::Recipient& recipient, const v1::Outcome& outcome,
                   absl::Time last_attempt);
  bool MayTell(std::uint32_t notify, std::uint32_t what) const;
  dsn::BuiltReport Compose(ReportKind kind, const std::string& message_id, const ReportPolicy& policy,
                           const std::string* body);
  ReportMail Build(ReportKind kind, const std::string* body);

  Engine* engine_;
  const storage::v1::Envelope* envelope_;
  std::string domain_;
  int moment_;
  std::int64_t now_;
  std::vector<dsn::ReportedRecipient> told_[kReportKinds];
  std::vector<ReportMail> mails_;
  int dropped_[kReportDrops] = {};
  bool relayed_ = false;       // Of those who were delivered to: one at least was only handed on.
  std::string undeliverable_;  // Of a report that failed itself: for the log.
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_REPORTS_H_
