#include "lib/submission/stats.h"

namespace hikyaku::submission {
namespace {

// Few and fixed, so that a label costs nothing: what the client can do about it.
const char* Reason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented: return "invalid";
    case absl::StatusCode::kPermissionDenied: return "policy";
    case absl::StatusCode::kAlreadyExists: return "key_conflict";
    case absl::StatusCode::kResourceExhausted: return "resources";
    case absl::StatusCode::kUnavailable: return "unavailable";
    case absl::StatusCode::kDeadlineExceeded: return "timeout";
    default: return "internal";
  }
}

}  // namespace

Stats& Stats::Smtp() {
  static Stats stats("smtp");
  return stats;
}

Stats& Stats::Grpc() {
  static Stats stats("grpc");
  return stats;
}

Stats::Stats(const char* protocol)
    : protocol_(protocol),
      accepted_(metrics::DeclareCounter("hikyaku_submission_accepted_messages_total",
                                        "Messages made durable and acknowledged.", {{"protocol", protocol}})),
      seconds_(metrics::DeclareHistogram("hikyaku_submission_accept_seconds",
                                         "From the last byte of a message to its acknowledgement.",
                                         metrics::LatencyBuckets(), {{"protocol", protocol}})),
      sessions_(metrics::DeclareGauge("hikyaku_submission_sessions",
                                      "SMTP connections, and gRPC streams that send mail, open now.",
                                      {{"protocol", protocol}})) {}

void Stats::Accepted(absl::Duration took) {
  accepted_.Increment();
  seconds_.Observe(absl::ToDoubleSeconds(took));
}

void Stats::Refused(const absl::Status& why) {
  if (!why.ok()) CountRefused(Reason(why.code()));
}

void Stats::TooLarge() { CountRefused("too_large"); }

void Stats::CountRefused(const char* reason) {
  metrics::DeclareCounter("hikyaku_submission_refused_total", "Messages refused, by what the client can do about it.",
                          {{"protocol", protocol_}, {"reason", reason}})
      .Increment();
}

void Stats::RecipientRefused(const char* reason) {
  metrics::DeclareCounter(
      "hikyaku_submission_refused_recipients_total",
      "Recipients refused: the client may not relay (relay), the address is none (invalid), there are "
      "too many (too_many), or they are not delivered to from here (policy).",
      {{"protocol", protocol_}, {"reason", reason}})
      .Increment();
}

}  // namespace hikyaku::submission
