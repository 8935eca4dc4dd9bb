// What a shard counts. Recipients are counted when the commit that changes them is on disk, so that
// accepted = delivered + bounced + expired + cancelled + suppressed + queued holds at every scrape but for commits in
// flight.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_QUEUE_METRICS_H_
#define HIKYAKU_LIB_QUEUE_METRICS_H_

#include <array>
#include <string>

#include "hikyaku/storage/v1/records.pb.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::queue {

inline constexpr int kPriorityClasses = 3;
inline constexpr std::array<const char*, kPriorityClasses> kPriorityNames = {"high", "normal", "bulk"};

// Of a report to a sender: what it tells, and why there is none of a failure.
enum class ReportKind { kFailed, kDelayed, kDelivered };
inline constexpr int kReportKinds = 3;
enum class ReportDrop {
  kNullSender,     // The mail had none.
  kUntrusted,      // Who sent it was not known: the report would hit a stranger.
  kUndeliverable,  // It was a report itself.
};
inline constexpr int kReportDrops = 3;

// Of a report on TLS that was due.
enum class TlsReportFate {
  kQueued,
  kNoAddress,  // The domain named none that can be reached.
  kBadUrl,     // It named a URL, besides or alone, that nothing is posted to.
  kNotMade,    // reports.tls is no longer configured.
};
inline constexpr int kTlsReportFates = 4;

struct Metrics {
  explicit Metrics(const std::string& shard);

  // The totals of recipients go on where the store has them, so that accepted = delivered + bounced + expired +
  // cancelled + queued holds by /metrics too, whatever life each of them was counted in.
  void ContinueFrom(const storage::v1::Counters& counters);

  metrics::Counter& accepted;
  metrics::Counter& delivered;
  metrics::Counter& deferred;
  metrics::Counter& bounced;
  metrics::Counter& expired;
  metrics::Counter& cancelled;
  metrics::Counter& ambiguous;
  metrics::Counter& lost_leases;
  metrics::Counter& late_verdicts;
  metrics::Counter& commits;
  metrics::Counter& commit_failures;
  metrics::Counter& unreadable;
  metrics::Histogram& group_size;
  metrics::Histogram& sync_seconds;
  metrics::Histogram& end_to_end_seconds;
  metrics::Gauge& recipients_queued;
  metrics::Gauge& scheduled;
  metrics::Gauge& gate_closed;
  metrics::Gauge& free_disk;
  metrics::Gauge& domains;
  std::array<metrics::Counter*, kReportKinds> reports;
  std::array<metrics::Counter*, kReportDrops> reports_dropped;
  std::array<metrics::Counter*, kTlsReportFates> tls_reports;
  std::array<metrics::Counter*, 2> tls_sessions;  // Success, failure.
  std::array<metrics::Gauge*, kPriorityClasses> ready;
  std::array<metrics::Gauge*, kPriorityClasses> leased;
  std::array<metrics::Gauge*, kPriorityClasses> oldest_age;
};

}  // namespace hikyaku::queue

#endif  // HIKYAKU_LIB_QUEUE_METRICS_H_
