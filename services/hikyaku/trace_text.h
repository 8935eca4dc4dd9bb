// The life of a message, for people.
//
// Threading: pure functions.
#ifndef HIKYAKU_SERVICES_HIKYAKU_TRACE_TEXT_H_
#define HIKYAKU_SERVICES_HIKYAKU_TRACE_TEXT_H_

#include <string>

#include "absl/time/time.h"
#include "hikyaku/v1/mail.pb.h"

namespace hikyaku::cli {

// All of it: what was accepted, where each delivery stands and what it waits for, what happened when, and what the
// peers said. Everything that a stranger wrote is made printable.
std::string TraceText(const v1::GetMessageResponse& message, absl::Time now);

// One event on one line, or two with what the peer said.
std::string EventText(const v1::Event& event);

// "451 4.3.0 try later  (mx1.example.net [192.0.2.1]:25; recipient, QuotaIssue)".
std::string OutcomeText(const v1::Outcome& outcome);

// "deferred", "delivered", …
std::string StateWord(v1::RecipientState state);

// Every recipient has reached its end.
bool IsFinished(const v1::GetMessageResponse& message);
// … and all of them got the mail.
bool IsAllDelivered(const v1::GetMessageResponse& message);

}  // namespace hikyaku::cli

#endif  // HIKYAKU_SERVICES_HIKYAKU_TRACE_TEXT_H_
