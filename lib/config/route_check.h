// The checks of delivery.routes and of what they name. The words for a single value are those of field_checks.h.
//
// Threading: pure functions.
#ifndef HIKYAKU_LIB_CONFIG_ROUTE_CHECK_H_
#define HIKYAKU_LIB_CONFIG_ROUTE_CHECK_H_

#include "absl/status/status.h"
#include "hikyaku/v1/config.pb.h"
#include "lib/config/source_map.h"

namespace hikyaku::config {

// kInvalidArgument with file, line and key: what to write instead.
absl::Status CheckRoutes(const v1::Delivery& delivery, const SourceMap& source);

}  // namespace hikyaku::config

#endif  // HIKYAKU_LIB_CONFIG_ROUTE_CHECK_H_
