// Statuses of submission as SMTP replies.
//
// Threading: pure functions.
#ifndef HIKYAKU_SERVICES_SUBMISSION_SMTP_REPLIES_H_
#define HIKYAKU_SERVICES_SUBMISSION_SMTP_REPLIES_H_

#include <string>

#include "absl/status/status.h"
#include "lib/smtp/reply.h"

namespace hikyaku::submission {

// Why a message is not taken. `stopping`: what another server could take is refused with 421, so that the client goes
// there at once.
smtp::Reply ReplyFor(const absl::Status& status, bool stopping);

// A refusal of RecipientPolicy, which begins with its enhanced code, as 550.
smtp::Reply RecipientRefused(const std::string& reason);

}  // namespace hikyaku::submission

#endif  // HIKYAKU_SERVICES_SUBMISSION_SMTP_REPLIES_H_
