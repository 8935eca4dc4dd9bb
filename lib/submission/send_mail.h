// SendMail, from the request to the answer: check, assemble, make durable. It speaks no gRPC; services/submission does.
//
// Threading: safe from every thread.
#ifndef HIKYAKU_LIB_SUBMISSION_SEND_MAIL_H_
#define HIKYAKU_LIB_SUBMISSION_SEND_MAIL_H_

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "hikyaku/v1/mail.pb.h"
#include "lib/base/clock.h"
#include "lib/submission/accept.h"
#include "lib/submission/assemble.h"
#include "lib/submission/budget.h"
#include "lib/submission/recipient_policy.h"
#include "lib/submission/request.h"

namespace hikyaku::submission {

// Exactly once, maybe before Send returns, on the caller's thread or on a shard's: short, never blocking.
// The errors are those of ReadRequest, Assemble and Acceptor; the status may carry fields and a retry time (failure.h).
using SendDone = absl::AnyInvocable<void(absl::StatusOr<v1::SendMailResponse>)>;

// Asked once, right before the message would go to the shards: ok, or why nobody waits for the answer any more
// (kDeadlineExceeded, kCancelled). Such a request queues nothing, and is answered with that.
using StillWanted = absl::FunctionRef<absl::Status()>;

class MailSender {
 public:
  // All must outlive the last answer.
  struct Doors {
    Acceptor* acceptor;
    const RecipientPolicy* policy;
    MemoryBudget* budget;
    Clock* clock;
  };

  MailSender(Doors doors, RequestLimits limits, AssembleOptions options)
      : doors_(doors), limits_(limits), options_(std::move(options)) {}

  // `request` must outlive the answer; its fields are freed as soon as the message is made of them, so that memory
  // holds a large one once. `still_wanted` is not called after the return.
  void Send(v1::SendMailRequest* request, StillWanted still_wanted, SendDone done);

 private:
  absl::Status ApplyPolicy(Submission* submission, v1::SendMailResponse* response) const;

  const Doors doors_;
  const RequestLimits limits_;
  const AssembleOptions options_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_SEND_MAIL_H_
