#include "lib/queue/metrics.h"

#include <cstdint>

namespace hikyaku::queue {
namespace {

using metrics::DeclareCounter;
using metrics::DeclareGauge;
using metrics::DeclareHistogram;
using metrics::Labels;

std::array<metrics::Gauge*, kPriorityClasses> ByPriority(const std::string& name, const std::string& help,
                                                         Labels labels) {
  std::array<metrics::Gauge*, kPriorityClasses> gauges;
  for (int i = 0; i < kPriorityClasses; ++i) {
    labels["priority"] = kPriorityNames[i];
    gauges[i] = &DeclareGauge(name, help, labels);
  }
  return gauges;
}

metrics::Counter& Counter(const std::string& shard, const std::string& name, const std::string& help) {
  return DeclareCounter(name, help, {{"shard", shard}});
}

metrics::Gauge& Gauge(const std::string& shard, const std::string& name, const std::string& help) {
  return DeclareGauge(name, help, {{"shard", shard}});
}

template <std::size_t kCount>
std::array<metrics::Counter*, kCount> ByLabel(const std::string& name, const std::string& help,
                                              const std::string& shard, const std::string& label,
                                              const std::array<const char*, kCount>& values) {
  std::array<metrics::Counter*, kCount> counters;
  for (std::size_t i = 0; i < kCount; ++i) {
    counters[i] = &DeclareCounter(name, help, {{"shard", shard}, {label, values[i]}});
  }
  return counters;
}

// In the order of ReportKind and of ReportDrop.
constexpr std::array<const char*, kReportKinds> kReportKindNames = {"failed", "delayed", "delivered"};
constexpr std::array<const char*, kReportDrops> kReportDropNames = {"null_sender", "untrusted", "undeliverable"};

// In the order of TlsReportFate.
constexpr std::array<const char*, kTlsReportFates> kTlsReportFateNames = {"queued", "no_address", "bad_url",
                                                                          "not_made"};
constexpr std::array<const char*, 2> kTlsSessionNames = {"success", "failure"};

constexpr char kDeliveries[] = "hikyaku_queue_deliveries";
constexpr char kDeliveriesHelp[] =
    "Deliveries (a message for one domain) by state. Ready and leased ones by priority; priority=\"all\" for the ones "
    "on "
    "disk only: scheduled for later, or due and waiting for room in memory.";

}  // namespace

Metrics::Metrics(const std::string& shard)
    : accepted(Counter(shard, "hikyaku_queue_accepted_recipients_total", "Recipients taken in, synced to disk.")),
      delivered(Counter(shard, "hikyaku_queue_delivered_recipients_total",
                        "Recipients whose mail a peer took responsibility for.")),
      deferred(Counter(shard, "hikyaku_queue_deferred_recipients_total",
                       "Times that a recipient was put off to a later attempt.")),
      bounced(Counter(shard, "hikyaku_queue_bounced_recipients_total", "Recipients that failed for good.")),
      expired(Counter(shard, "hikyaku_queue_expired_recipients_total",
                      "Recipients whose lifetime ended before any attempt worked.")),
      cancelled(Counter(shard, "hikyaku_queue_cancelled_recipients_total", "Recipients that an operator purged.")),
      ambiguous(Counter(shard, "hikyaku_queue_ambiguous_total",
                        "Attempts whose final dot got no reply: each may become a duplicate.")),
      lost_leases(Counter(shard, "hikyaku_queue_lost_leases_total",
                          "Leases that ended without a verdict: the worker went silent or away.")),
      late_verdicts(
          Counter(shard, "hikyaku_queue_late_verdicts_total", "Verdicts ignored because their lease was lost before.")),
      commits(Counter(shard, "hikyaku_queue_commits_total", "Group commits synced to disk.")),
      commit_failures(Counter(shard, "hikyaku_queue_commit_failures_total",
                              "Group commits that failed; the store was reopened after each.")),
      unreadable(Counter(shard, "hikyaku_queue_unreadable_total",
                         "Deliveries whose record or body could not be read when they were due.")),
      group_size(DeclareHistogram("hikyaku_queue_commit_group_size", "Operations that share one sync.",
                                  metrics::CountBuckets(), {{"shard", shard}})),
      sync_seconds(DeclareHistogram("hikyaku_queue_sync_seconds", "Write and sync of one group commit.",
                                    metrics::LatencyBuckets(), {{"shard", shard}})),
      end_to_end_seconds(DeclareHistogram("hikyaku_queue_end_to_end_seconds",
                                          "From acceptance to the commit that records the delivery.",
                                          metrics::AgeBuckets(), {{"shard", shard}})),
      recipients_queued(
          Gauge(shard, "hikyaku_queue_queued_recipients", "Recipients that are not in a terminal state.")),
      scheduled(
          DeclareGauge(kDeliveries, kDeliveriesHelp, {{"shard", shard}, {"state", "scheduled"}, {"priority", "all"}})),
      gate_closed(Gauge(shard, "hikyaku_queue_gate_closed", "1 while new mail is refused; /readyz says why.")),
      free_disk(Gauge(shard, "hikyaku_queue_free_disk_bytes", "Free room on the file system of the queue.")),
      domains(Gauge(shard, "hikyaku_queue_domains", "Destination domains with mail waiting.")),
      reports(ByLabel("hikyaku_dsn_total", "Reports to senders (delivery status notifications) that were queued.",
                      shard, "kind", kReportKindNames)),
      reports_dropped(
          ByLabel("hikyaku_dsn_dropped_total",
                  "Recipients whose failure was reported to nobody: the mail had no sender (null_sender), it "
                  "came from an untrusted one, or it was a report itself (undeliverable).",
                  shard, "reason", kReportDropNames)),
      tls_reports(
          ByLabel("hikyaku_tls_reports_total",
                  "Reports on TLS (RFC 8460) that were due, one for each domain and day: queued; no_address: the "
                  "domain named none that can be reached; bad_url: it named a URL that nothing is posted to (counted "
                  "besides the others); not_made: reports.tls was taken away.",
                  shard, "result", kTlsReportFateNames)),
      tls_sessions(ByLabel("hikyaku_tls_report_sessions_total",
                           "Sessions with hosts of domains that ask for reports on TLS, as the reports tell them.",
                           shard, "result", kTlsSessionNames)),
      ready(ByPriority(kDeliveries, kDeliveriesHelp, {{"shard", shard}, {"state", "ready"}})),
      leased(ByPriority(kDeliveries, kDeliveriesHelp, {{"shard", shard}, {"state", "leased"}})),
      oldest_age(ByPriority("hikyaku_queue_oldest_age_seconds",
                            "Age, since acceptance, of the oldest delivery that is due.", {{"shard", shard}})) {}

void Metrics::ContinueFrom(const storage::v1::Counters& counters) {
  // A shard that is opened again within one process goes on with the counters that are there.
  const auto raise = [](metrics::Counter& counter, std::uint64_t total) {
    const double missing = static_cast<double>(total) - counter.Value();
    if (missing > 0) counter.Increment(missing);
  };
  raise(accepted, counters.accepted());
  raise(delivered, counters.delivered());
  raise(bounced, counters.bounced());
  raise(expired, counters.expired());
  raise(cancelled, counters.cancelled());
}

}  // namespace hikyaku::queue
