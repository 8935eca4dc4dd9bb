// What happened to mail: the verdict on one recipient, or on all of them. The only language in which failures of
// delivery are told: events, retries, DSNs and metrics read nothing else.
//
// Source:     RFC 5321 §4.2.1 (reply codes), RFC 3463 (status).
// Non-goals:  deciding. Outcomes of delivery are made in lib/delivery/verdict and nowhere else (design, law 4).
// Threading:  plain values.
#ifndef HIKYAKU_LIB_OUTCOME_OUTCOME_H_
#define HIKYAKU_LIB_OUTCOME_OUTCOME_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/outcome/bounce_class.h"
#include "lib/outcome/enhanced_code.h"

namespace hikyaku::outcome {

// Stored: do not renumber.
enum class Kind {
  kDelivered = 1,  // The peer has taken it. Terminal.
  kTransient = 2,  // Try again.
  kPermanent = 3,  // Never try again. Terminal.
};

// How far the failure reaches, so that the caller knows what else to give up. Stored: do not renumber.
enum class Scope {
  kRecipient = 1,  // This recipient; the others of the message are untouched.
  kMessage = 2,    // This message for all its recipients; the connection is fine.
  kHost = 3,       // This host; try the next MX.
  kDomain = 4,     // The whole domain: its DNS, or all its hosts.
  kSession = 5,    // This connection; the same host may be tried again.
};

absl::string_view KindName(Kind kind);     // delivered, transient, permanent
absl::string_view ScopeName(Scope scope);  // recipient, message, host, domain, session

inline constexpr std::size_t kMaxTextOctets = 1024;  // What is kept of a peer's text.

// The TLS of the connection that an outcome comes from.
struct TlsUsed {
  std::string version;
  std::string cipher;
  bool verified = false;
  std::string unverified_reason;
  std::string policy;  // What was asked for, and by which rule.

  bool operator==(const TlsUsed&) const = default;
};

// Make one with the functions below, which keep these promises: `text` is never empty, is valid UTF-8 without control
// characters and at most kMaxTextOctets long; `enhanced` is never empty and its class agrees with `kind`.
struct Outcome {
  Kind kind = Kind::kTransient;
  Scope scope = Scope::kMessage;
  int smtp_code = 0;  // What the peer said; 0 when no peer spoke.
  EnhancedCode enhanced{4, 0, 0};
  std::string text = "unknown";  // Of the peer: without the enhanced code. Lines are joined by a space.
  std::string remote_host;       // Who said it, or who was tried: `mx1.example.com [192.0.2.1]`; may be empty.
  bool ambiguous = false;        // The final dot was sent and no reply came: it may have been delivered.
  BounceClass cls = BounceClass::kTransientFailure;
  bool reports_passed_on = false;  // Delivered to a host that was told, by DSN, what the sender wants to hear.
  bool final_delivery = false;     // Delivered where mail ends, not to a host that hands it on.
  std::optional<TlsUsed> tls;      // Nothing: clear text, or no connection.

  bool terminal() const { return kind != Kind::kTransient; }

  // The same event judged otherwise (RFC 5321 §4.5.3.1.10: 552 at RCPT is transient): `kind` and the class digit of
  // `enhanced` change, what the peer said stays.
  Outcome As(Kind other) const;

  // One line for people: `550 5.1.1 no such user (mx1.example.com)`.
  std::string ToString() const;

  bool operator==(const Outcome&) const = default;
};

// From a peer's reply. 2xx is delivered, 5xx permanent, 4xx transient; any other code is a broken peer: transient,
// 4.5.0. `enhanced` is the peer's code as text ("5.1.1"); where it is empty, the start of `text` is looked at; where it
// is nonsense or disagrees with the basic code, X.0.0 stands for it.
Outcome FromReply(Scope scope, int smtp_code, absl::string_view enhanced, absl::string_view text,
                  absl::string_view remote_host);

// What we found out ourselves: no peer spoke. The class of `enhanced` is set from `kind`.
Outcome FromUs(Kind kind, Scope scope, EnhancedCode enhanced, absl::string_view text,
               absl::string_view remote_host = "");

// The connection was lost, or time ran out, between our final dot and the reply: transient and `ambiguous`, 4.4.2.
Outcome Ambiguous(absl::string_view text, absl::string_view remote_host);

// `text` without what could break a log line, a header or a protobuf string: control characters and line separators
// become spaces, runs of them one; bytes that are not UTF-8 become `?`; cut at kMaxTextOctets on a character boundary.
std::string CleanText(absl::string_view text);

}  // namespace hikyaku::outcome

#endif  // HIKYAKU_LIB_OUTCOME_OUTCOME_H_
