#include "lib/delivery/attempt_report.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/message_id.h"
#include "lib/metrics/metrics.h"
#include "lib/outcome/outcome.h"

namespace hikyaku::delivery {
namespace {

using outcome::Kind;
using outcome::Outcome;

metrics::Counter& Recipients(const std::string& result) {
  return metrics::DeclareCounter("hikyaku_delivery_attempts_total",
                                 "Recipients whose attempt ended, by result: delivered, deferred (tried again), "
                                 "bounced (never will be), ambiguous "
                                 "(deferred, but the host may have taken the mail: a later try may duplicate it).",
                                 {{"result", result}});
}

struct Metrics {
  metrics::Counter& delivered = Recipients("delivered");
  metrics::Counter& deferred = Recipients("deferred");
  metrics::Counter& bounced = Recipients("bounced");
  metrics::Counter& ambiguous = Recipients("ambiguous");
  metrics::Counter& lost = metrics::DeclareCounter(
      "hikyaku_delivery_lost_leases_total", "Attempts given up before the final dot because their lease was lost.");
  metrics::Histogram& seconds =
      metrics::DeclareHistogram("hikyaku_delivery_seconds", "Time of one attempt.", metrics::LatencyBuckets());
  metrics::Histogram& end_to_end = metrics::DeclareHistogram(
      "hikyaku_delivery_end_to_end_seconds", "From the acceptance of a mail to its delivery, for each recipient.",
      metrics::AgeBuckets());
};

Metrics& Count() {
  static Metrics* const metrics = new Metrics;
  return *metrics;
}

struct Tally {
  int delivered = 0;
  int deferred = 0;
  int bounced = 0;
  const Outcome* worst = nullptr;  // What the log line tells: permanent before transient before delivered.
};

Tally Add(const Attempt& attempt) {
  Tally tally;
  for (const Outcome& outcome : attempt.outcomes()) {
    if (outcome.kind == Kind::kDelivered) ++tally.delivered;
    if (outcome.kind == Kind::kTransient) ++tally.deferred;
    if (outcome.kind == Kind::kPermanent) ++tally.bounced;
    if (outcome.ambiguous) Count().ambiguous.Increment();
    if (outcome.kind == Kind::kTransient && !outcome.ambiguous) Count().deferred.Increment();
    if (tally.worst == nullptr || outcome.kind > tally.worst->kind) tally.worst = &outcome;
  }
  if (tally.delivered > 0) Count().delivered.Increment(tally.delivered);
  if (tally.bounced > 0) Count().bounced.Increment(tally.bounced);
  return tally;
}

// "TLSv1.3, verified"; empty: clear text, or no connection.
std::string TlsText(const Outcome& outcome) {
  if (!outcome.tls) return "";
  return absl::StrCat(outcome.tls->version, outcome.tls->verified ? ", verified" : ", unverified");
}

}  // namespace

void ReportAttempt(const storage::v1::Delivery& delivery, const Attempt& attempt, absl::Time start, absl::Time now) {
  const Tally tally = Add(attempt);
  Count().seconds.Observe(absl::ToDoubleSeconds(now - start));
  const absl::Time accepted = absl::FromUnixMicros(delivery.envelope().accept_micros());
  for (int i = 0; i < tally.delivered; ++i) Count().end_to_end.Observe(absl::ToDoubleSeconds(now - accepted));
  if (tally.worst == nullptr || !log::Enabled(log::Level::kInfo)) return;

  const Outcome& told = *tally.worst;
  const auto id = MessageId::FromBytes(delivery.envelope().message_id());
  log::Info("attempt", {{"message", id ? id->text() : std::string()},
                        {"domain", delivery.domain()},
                        {"attempt", delivery.attempts() + 1},
                        {"delivered", tally.delivered},
                        {"deferred", tally.deferred},
                        {"bounced", tally.bounced},
                        {"kind", outcome::KindName(told.kind)},
                        {"code", told.smtp_code},
                        {"enhanced", told.enhanced.ToString()},
                        {"text", told.text},
                        {"ambiguous", told.ambiguous},
                        {"remote", told.remote_host},
                        {"tls", TlsText(told)},
                        {"ms", absl::ToInt64Milliseconds(now - start)}});
}

void CountLost() { Count().lost.Increment(); }

}  // namespace hikyaku::delivery
