// From delivery.sources and delivery.source_pools to the sources of lib/delivery.
//
// Threading: pure, but for the password files of proxies, which are read.
#ifndef HIKYAKU_SERVICES_DELIVERY_SOURCE_SETTINGS_H_
#define HIKYAKU_SERVICES_DELIVERY_SOURCE_SETTINGS_H_

#include "absl/status/statusor.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/delivery/source.h"

namespace hikyaku::delivery {

// kInvalidArgument names the key, or the file that cannot be read.
absl::StatusOr<Sources> SourcesFrom(const v1::Delivery& delivery);

}  // namespace hikyaku::delivery

#endif  // HIKYAKU_SERVICES_DELIVERY_SOURCE_SETTINGS_H_
