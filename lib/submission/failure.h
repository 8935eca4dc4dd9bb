// Why a request is refused, as an absl::Status that carries what the client needs beside code and text: the fields at
// fault, or when to come back. The payloads are google.rpc messages under their type URLs, so that a service passes
// them on as they are.
//
// Threading: pure functions.
#ifndef HIKYAKU_LIB_SUBMISSION_FAILURE_H_
#define HIKYAKU_LIB_SUBMISSION_FAILURE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::submission {

// A field of the request and what was expected of it.
struct FieldError {
  std::string path;         // As in "content.to[2].address".
  std::string description;  // Printable, at most 300 bytes.

  bool operator==(const FieldError&) const = default;
};

// More than these of one request are not listed: it is enough to mend, and bounds the answer.
inline constexpr std::size_t kMaxFieldErrors = 20;

// `code` with the fields (at least one) in a google.rpc.BadRequest; the text tells the first.
absl::Status FieldFailure(absl::StatusCode code, const std::vector<FieldError>& fields);

// The fields of FieldFailure; empty for other statuses.
std::vector<FieldError> FieldsOf(const absl::Status& status);

// `status` with a google.rpc.RetryInfo.
absl::Status WithRetryAfter(absl::Status status, absl::Duration after);
std::optional<absl::Duration> RetryAfterOf(const absl::Status& status);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_FAILURE_H_
