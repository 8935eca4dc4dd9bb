#include "lib/submission/failure.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace hikyaku::submission {
namespace {

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";

// False when the status has no such payload.
template <typename Message>
bool ReadPayload(const absl::Status& status, const char* url, Message* into) {
  const auto payload = status.GetPayload(url);
  return payload.has_value() && into->ParseFromString(std::string(*payload));
}

}  // namespace

absl::Status FieldFailure(absl::StatusCode code, const std::vector<FieldError>& fields) {
  google::rpc::BadRequest details;
  for (std::size_t i = 0; i < std::min(fields.size(), kMaxFieldErrors); ++i) {
    google::rpc::BadRequest::FieldViolation& violation = *details.add_field_violations();
    violation.set_field(fields[i].path);
    violation.set_description(fields[i].description);
  }
  std::string text = absl::StrCat(fields.front().path, ": ", fields.front().description);
  if (fields.size() > 1) absl::StrAppend(&text, " (and ", fields.size() - 1, " more)");
  absl::Status status(code, text);
  status.SetPayload(kBadRequestUrl, absl::Cord(details.SerializeAsString()));
  return status;
}

std::vector<FieldError> FieldsOf(const absl::Status& status) {
  std::vector<FieldError> fields;
  google::rpc::BadRequest details;
  if (!ReadPayload(status, kBadRequestUrl, &details)) return fields;
  for (const auto& violation : details.field_violations()) {
    fields.push_back({violation.field(), violation.description()});
  }
  return fields;
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration after) {
  google::rpc::RetryInfo details;
  details.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(after));
  details.mutable_retry_delay()->set_nanos(
      static_cast<int>(absl::ToInt64Nanoseconds(after - absl::Seconds(absl::ToInt64Seconds(after)))));
  status.SetPayload(kRetryInfoUrl, absl::Cord(details.SerializeAsString()));
  return status;
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  google::rpc::RetryInfo details;
  if (!ReadPayload(status, kRetryInfoUrl, &details)) return std::nullopt;
  return absl::Seconds(details.retry_delay().seconds()) + absl::Nanoseconds(details.retry_delay().nanos());
}

}  // namespace hikyaku::submission
