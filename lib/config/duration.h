// google.protobuf.Duration and absl::Duration, one to the other.
#ifndef HIKYAKU_LIB_CONFIG_DURATION_H_
#define HIKYAKU_LIB_CONFIG_DURATION_H_

#include <google/protobuf/duration.pb.h>

#include "absl/time/time.h"

namespace hikyaku::config {

inline absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

inline void SetDuration(absl::Duration from, google::protobuf::Duration* to) {
  absl::Duration rest = from;
  to->set_seconds(absl::IDivDuration(from, absl::Seconds(1), &rest));
  to->set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(rest)));
}

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_DURATION_H_
