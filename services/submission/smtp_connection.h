// One SMTP connection: the coroutine that reads, writes and keeps time around the pure smtp::ServerSession, and that
// makes each message durable before it says 250.
//
// Time:   each command is bounded by idle_timeout, from our last reply to its end, however its bytes come; so is
// silence
//         within a message. A message as a whole is bounded by data_timeout (RFC 5321 §4.5.3.2), and must come at
//         min_data_rate: each read buys time at that rate, and no more than idle_timeout can be saved. When the server
//         is crowded (net::Admission), kCrowdedTimeout takes the place of idle_timeout, for those who wait already too.
// Memory: the read buffer, and the message, which is counted in the MemoryBudget as it comes.
// Stop:   SmtpDrain::Begin, then a cancel of the task. A connection between two transactions says 421 at once; one that
// is
//         in a transaction goes on until the end of that, or of the drain's time.
#ifndef HIKYAKU_SERVICES_SUBMISSION_SMTP_CONNECTION_H_
#define HIKYAKU_SERVICES_SUBMISSION_SMTP_CONNECTION_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "lib/base/clock.h"
#include "lib/net/admission.h"
#include "lib/net/asio.h"
#include "lib/net/stream.h"
#include "lib/submission/accept.h"
#include "lib/submission/budget.h"
#include "lib/submission/recipient_policy.h"
#include "services/submission/smtp_settings.h"

namespace hikyaku::submission {

// Tells connections that the server stops. Threading: safe from every thread.
class SmtpDrain {
 public:
  // Transactions may go on until `until`. Call once.
  void Begin(absl::Time until) { until_micros_ = absl::ToUnixMicros(until); }

  bool begun() const { return until_micros_.load() != kNever; }
  absl::Time until() const { return absl::FromUnixMicros(until_micros_.load()); }

 private:
  static constexpr std::int64_t kNever = INT64_MAX;
  std::atomic<std::int64_t> until_micros_{kNever};
};

// What a connection works with; all outlive it.
struct SmtpDoors {
  Acceptor* acceptor;
  const RecipientPolicy* policy;
  MemoryBudget* budget;
  Clock* clock;
  const SmtpDrain* drain;
  const net::Admission* admission = nullptr;  // Not set: never crowded.
};

// As Postfix's smtpd_timeout under stress.
inline constexpr absl::Duration kCrowdedTimeout = absl::Seconds(10);

// Serves the connection to its end and closes it.
awaitable<void> ServeSmtp(std::unique_ptr<net::Stream> stream, std::shared_ptr<const SmtpSettings> settings,
                          SmtpDoors doors);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_SMTP_CONNECTION_H_
