// Statuses of submission as gRPC tells them. The only place that makes a grpc::Status of this role.
//
// Threading: pure functions.
#ifndef HIKYAKU_SERVICES_SUBMISSION_GRPC_STATUS_H_
#define HIKYAKU_SERVICES_SUBMISSION_GRPC_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "hikyaku/v1/mail.pb.h"

namespace hikyaku::submission {

// The same code and text, and each payload as a detail of google.rpc.Status (grpc-status-details-bin). kCancelled
// becomes UNAVAILABLE: a client that did not cancel must never read that it did.
grpc::Status ToGrpc(const absl::Status& status);

// The same for one item of SendMailStream.
v1::SendMailError ToSendMailError(const absl::Status& status);

// Ok while the client waits for the answer of this call; else kDeadlineExceeded or kCancelled. gRPC learns of a cancel
// a moment after a unary method has begun: one that came before may be missed, a deadline never is.
absl::Status CallState(const grpc::CallbackServerContext& context);

// A method that is in the schema and not built yet.
absl::Status NotBuilt(const char* method);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_GRPC_STATUS_H_
