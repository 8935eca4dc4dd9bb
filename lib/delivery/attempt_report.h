// What the operator sees of attempts: counters, histograms, and one log line for each.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_DELIVERY_ATTEMPT_REPORT_H_
#define HIKYAKU_LIB_DELIVERY_ATTEMPT_REPORT_H_

#include "absl/time/time.h"
#include "hikyaku/storage/v1/records.pb.h"
#include "lib/delivery/attempt.h"

namespace hikyaku::delivery {

// An attempt that was judged, from `start` to `now`.
void ReportAttempt(const storage::v1::Delivery& delivery, const Attempt& attempt, absl::Time start, absl::Time now);

// An attempt whose lease was lost before its final dot.
void CountLost();

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_LIB_DELIVERY_ATTEMPT_REPORT_H_
