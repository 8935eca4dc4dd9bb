// Why a delivery failed, in the words that people who watch bounces use. It informs (events, metrics, suppression);
// whether to retry is decided by Outcome::kind alone.
//
// Source:     RFC 3463 §3, RFC 5248's registry; the texts of large providers.
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_OUTCOME_BOUNCE_CLASS_H_
#define HIKYAKU_LIB_OUTCOME_BOUNCE_CLASS_H_

#include <cstddef>
#include <optional>

#include "absl/strings/string_view.h"
#include "lib/outcome/enhanced_code.h"

namespace hikyaku::outcome {

// Stored in events: do not renumber.
enum class BounceClass {
  kNone = 0,  // Delivered.
  kUndetermined = 1,
  kInvalidRecipient = 2,
  kInactiveMailbox = 3,
  kBadDomain = 4,
  kDnsFailure = 5,
  kNoAnswerFromHost = 6,
  kRoutingError = 7,
  kQuotaIssue = 8,
  kSpamBlock = 9,     // The source is blocked: address, range, reputation.
  kSpamContent = 10,  // This message looks like spam.
  kPolicyRelated = 11,
  kAuthenticationFailed = 12,  // SPF, DKIM, DMARC, or AUTH.
  kRelayDenied = 13,
  kProhibitedAttachment = 14,
  kTooManyRecipients = 15,
  kProtocolError = 16,
  kMessageExpired = 17,
  kBadConnection = 18,
  kBadConfiguration = 19,
  kInvalidSender = 20,
  kTransientFailure = 21,  // Greylisting, throttling, "try later".
};

// "InvalidRecipient", …: the label of metrics and events; "Undetermined" for a value that is none of the above.
absl::string_view BounceClassName(BounceClass cls);
// The reverse of BounceClassName.
std::optional<BounceClass> ParseBounceClass(absl::string_view name);

// Judges by a telling enhanced code first, then by the text, then by what the vague code or the basic code suggests.
// `smtp_code` is 0 when no peer spoke. A success is kNone; an unknown transient failure kTransientFailure.
BounceClass Classify(int smtp_code, const EnhancedCode& enhanced, absl::string_view text);

}  // namespace hikyaku::outcome

#endif  // HIKYAKU_LIB_OUTCOME_BOUNCE_CLASS_H_
