// absl::Status on one side, grpc::Status on the other: the code numbers are the same by design.
//
// Threading: pure.
#ifndef HIKYAKU_SERVICES_COMMON_GRPC_STATUS_H_
#define HIKYAKU_SERVICES_COMMON_GRPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace hikyaku {

inline grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

inline absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace hikyaku

#endif  // HIKYAKU_SERVICES_COMMON_GRPC_STATUS_H_
