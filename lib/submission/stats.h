// What each front-end counts of the mail that it takes and refuses.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_SUBMISSION_STATS_H_
#define HIKYAKU_LIB_SUBMISSION_STATS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lib/metrics/metrics.h"

namespace hikyaku::submission {

class Stats {
 public:
  static Stats& Smtp();
  static Stats& Grpc();

  // A message that was made durable (not one that was answered from the record of its key), and how long that took from
  // its last byte to the answer.
  void Accepted(absl::Duration took);

  // A message that was not taken. One whose status is ok is not counted.
  void Refused(const absl::Status& why);

  // One that is larger than limits.message_size: no wait makes it smaller.
  void TooLarge();

  // A recipient of a message that may be taken for others. `reason` is one of a few words, see the metric.
  void RecipientRefused(const char* reason);

  // Connections of SMTP, streams of gRPC.
  metrics::Gauge& sessions() { return sessions_; }

 private:
  explicit Stats(const char* protocol);
  void CountRefused(const char* reason);

  const char* const protocol_;
  metrics::Counter& accepted_;
  metrics::Histogram& seconds_;
  metrics::Gauge& sessions_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_STATS_H_
