#include "services/submission/smtp_replies.h"

#include "absl/strings/str_cat.h"

namespace hikyaku::submission {

smtp::Reply ReplyFor(const absl::Status& status, bool stopping) {
  switch (status.code()) {
    // The client's message is at fault, and what is wrong with it helps whoever made it.
    case absl::StatusCode::kInvalidArgument: return {554, "5.6.0", std::string(status.message())};
    case absl::StatusCode::kFailedPrecondition: return {554, "5.4.6", std::string(status.message())};
    // All that follows is ours, and is none of the client's business in detail.
    case absl::StatusCode::kResourceExhausted: return {452, "4.3.1", "Insufficient system storage, try again later"};
    case absl::StatusCode::kUnavailable:
      if (stopping) return {421, "4.3.2", "Service shutting down"};
      return {451, "4.3.0", "The queue cannot be reached, try again later"};
    case absl::StatusCode::kDeadlineExceeded:
      return {451, "4.3.0", "The queue did not answer in time, try again later"};
    default: return {451, "4.3.0", "Local error, try again later"};
  }
}

smtp::Reply RecipientRefused(const std::string& reason) {
  const std::size_t space = reason.find(' ');
  if (space == std::string::npos) return {550, "5.7.1", reason};
  return {550, reason.substr(0, space), reason.substr(space + 1)};
}

}  // namespace hikyaku::submission
