#include "lib/outcome/bounce_class.h"

#include <cstddef>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace hikyaku::outcome {
namespace {

constexpr std::size_t kMaxLookedAt = 1024;  // Octets of text that are searched.

constexpr struct {
  BounceClass cls;
  absl::string_view name;
} kNames[] = {
    {BounceClass::kNone, "None"},
    {BounceClass::kUndetermined, "Undetermined"},
    {BounceClass::kInvalidRecipient, "InvalidRecipient"},
    {BounceClass::kInactiveMailbox, "InactiveMailbox"},
    {BounceClass::kBadDomain, "BadDomain"},
    {BounceClass::kDnsFailure, "DnsFailure"},
    {BounceClass::kNoAnswerFromHost, "NoAnswerFromHost"},
    {BounceClass::kRoutingError, "RoutingError"},
    {BounceClass::kQuotaIssue, "QuotaIssue"},
    {BounceClass::kSpamBlock, "SpamBlock"},
    {BounceClass::kSpamContent, "SpamContent"},
    {BounceClass::kPolicyRelated, "PolicyRelated"},
    {BounceClass::kAuthenticationFailed, "AuthenticationFailed"},
    {BounceClass::kRelayDenied, "RelayDenied"},
    {BounceClass::kProhibitedAttachment, "ProhibitedAttachment"},
    {BounceClass::kTooManyRecipients, "TooManyRecipients"},
    {BounceClass::kProtocolError, "ProtocolError"},
    {BounceClass::kMessageExpired, "MessageExpired"},
    {BounceClass::kBadConnection, "BadConnection"},
    {BounceClass::kBadConfiguration, "BadConfiguration"},
    {BounceClass::kInvalidSender, "InvalidSender"},
    {BounceClass::kTransientFailure, "TransientFailure"},
};

// A range of details of one subject (RFC 3463 §3, RFC 5248's registry). The first row that fits counts.
struct CodeRule {
  int subject;
  int first;
  int last;
  BounceClass cls;
};

// Codes that mean one thing whoever says them.
constexpr CodeRule kTellingCodes[] = {
    {1, 1, 1, BounceClass::kInvalidRecipient},
    {1, 2, 2, BounceClass::kBadDomain},
    {1, 3, 5, BounceClass::kInvalidRecipient},
    {1, 6, 6, BounceClass::kInactiveMailbox},  // Mailbox has moved.
    {1, 7, 8, BounceClass::kInvalidSender},
    {1, 9, 9, BounceClass::kRoutingError},
    {1, 10, 10, BounceClass::kBadDomain},  // Null MX, RFC 7505.
    {2, 2, 2, BounceClass::kQuotaIssue},
    {2, 3, 3, BounceClass::kPolicyRelated},  // Message too long for this mailbox.
    {2, 4, 4, BounceClass::kRoutingError},   // Mailing list expansion.
    {3, 1, 2, BounceClass::kTransientFailure},
    {3, 3, 3, BounceClass::kProtocolError},
    {3, 4, 4, BounceClass::kPolicyRelated},  // Message too big for the system.
    {3, 5, 5, BounceClass::kBadConfiguration},
    {4, 1, 1, BounceClass::kNoAnswerFromHost},
    {4, 2, 2, BounceClass::kBadConnection},
    {4, 3, 3, BounceClass::kDnsFailure},
    {4, 4, 4, BounceClass::kRoutingError},
    {4, 5, 5, BounceClass::kTransientFailure},  // Congestion.
    {4, 6, 6, BounceClass::kRoutingError},      // Loop.
    {4, 7, 7, BounceClass::kMessageExpired},
    {5, 1, 2, BounceClass::kProtocolError},
    {5, 3, 3, BounceClass::kTooManyRecipients},
    {5, 4, 6, BounceClass::kProtocolError},
    {6, 1, 10, BounceClass::kProtocolError},            // Media, conversion, SMTPUTF8.
    {7, 7, 9, BounceClass::kAuthenticationFailed},      // Integrity, AUTH credentials and mechanism.
    {7, 20, 26, BounceClass::kAuthenticationFailed},    // DKIM, SPF, reverse DNS (RFC 7372).
    {7, 27, 27, BounceClass::kInvalidSender},           // The sender's domain has a null MX.
    {7, 28, 28, BounceClass::kTransientFailure},        // Mail flood; Google's rate limits.
    {7, 29, 29, BounceClass::kAuthenticationFailed},    // ARC.
    {7, 64, 64, BounceClass::kRelayDenied},             // Microsoft 365: tenant attribution.
    {7, 509, 515, BounceClass::kAuthenticationFailed},  // Microsoft: DMARC.
    {7, 606, 649, BounceClass::kSpamBlock},             // Microsoft: banned sending address.
};

// What a vague code suggests when the text says nothing that we know.
constexpr CodeRule kVagueCodes[] = {
    {1, 0, 999, BounceClass::kInvalidRecipient}, {4, 0, 999, BounceClass::kRoutingError},
    {5, 0, 999, BounceClass::kProtocolError},    {6, 0, 999, BounceClass::kProtocolError},
    {7, 0, 999, BounceClass::kPolicyRelated},
};

// Words in lower case. The first that occurs counts, so the order is from what says most to what says least; `spam`
// comes late because it is in the name of many filters that refuse for other reasons.
constexpr struct {
  absl::string_view words;
  BounceClass cls;
} kTexts[] = {
    {"relay access denied", BounceClass::kRelayDenied},
    {"relaying denied", BounceClass::kRelayDenied},
    {"relay denied", BounceClass::kRelayDenied},
    {"unable to relay", BounceClass::kRelayDenied},
    {"relay not permitted", BounceClass::kRelayDenied},
    {"relaying not", BounceClass::kRelayDenied},
    {"not permitted to relay", BounceClass::kRelayDenied},
    {"do not relay", BounceClass::kRelayDenied},
    {"too many recipients", BounceClass::kTooManyRecipients},
    {"sender address rejected", BounceClass::kInvalidSender},
    {"invalid sender", BounceClass::kInvalidSender},
    {"sender rejected", BounceClass::kInvalidSender},
    {"sender verify failed", BounceClass::kInvalidSender},
    {"sender domain", BounceClass::kInvalidSender},
    {"domain of sender", BounceClass::kInvalidSender},
    {"domain does not exist", BounceClass::kBadDomain},
    {"domain not found", BounceClass::kBadDomain},
    {"unknown domain", BounceClass::kBadDomain},
    {"no such domain", BounceClass::kBadDomain},
    {"invalid domain", BounceClass::kBadDomain},
    {"host unknown", BounceClass::kBadDomain},
    {"does not accept mail", BounceClass::kBadDomain},
    {"nullmx", BounceClass::kBadDomain},
    {"null mx", BounceClass::kBadDomain},
    {"user unknown", BounceClass::kInvalidRecipient},
    {"unknown user", BounceClass::kInvalidRecipient},
    {"no such user", BounceClass::kInvalidRecipient},
    {"no such mailbox", BounceClass::kInvalidRecipient},
    {"no such recipient", BounceClass::kInvalidRecipient},
    {"no mailbox here", BounceClass::kInvalidRecipient},
    {"user not found", BounceClass::kInvalidRecipient},
    {"mailbox not found", BounceClass::kInvalidRecipient},
    {"recipient not found", BounceClass::kInvalidRecipient},
    {"unknown recipient", BounceClass::kInvalidRecipient},
    {"recipient unknown", BounceClass::kInvalidRecipient},
    {"invalid recipient", BounceClass::kInvalidRecipient},
    {"invalid mailbox", BounceClass::kInvalidRecipient},
    {"not a valid mailbox", BounceClass::kInvalidRecipient},
    {"address unknown", BounceClass::kInvalidRecipient},
    {"unrouteable address", BounceClass::kInvalidRecipient},
    {"mailbox unavailable", BounceClass::kInvalidRecipient},
    {"does not exist", BounceClass::kInvalidRecipient},
    {"inactive", BounceClass::kInactiveMailbox},
    {"account disabled", BounceClass::kInactiveMailbox},
    {"mailbox disabled", BounceClass::kInactiveMailbox},
    {"is disabled", BounceClass::kInactiveMailbox},
    {"suspended", BounceClass::kInactiveMailbox},
    {"deactivated", BounceClass::kInactiveMailbox},
    {"account closed", BounceClass::kInactiveMailbox},
    {"no longer active", BounceClass::kInactiveMailbox},
    {"insufficient system storage", BounceClass::kTransientFailure},
    {"mailbox full", BounceClass::kQuotaIssue},
    {"mailbox is full", BounceClass::kQuotaIssue},
    {"quota", BounceClass::kQuotaIssue},
    {"exceeded storage", BounceClass::kQuotaIssue},
    {"out of storage", BounceClass::kQuotaIssue},
    {"too many hops", BounceClass::kRoutingError},
    {"hop count", BounceClass::kRoutingError},
    {"mail loop", BounceClass::kRoutingError},
    {"loops back", BounceClass::kRoutingError},
    {"attachment", BounceClass::kProhibitedAttachment},
    {"file type", BounceClass::kProhibitedAttachment},
    {"dmarc", BounceClass::kAuthenticationFailed},
    {"dkim", BounceClass::kAuthenticationFailed},
    {"spf", BounceClass::kAuthenticationFailed},
    {"unauthenticated", BounceClass::kAuthenticationFailed},
    {"authentication", BounceClass::kAuthenticationFailed},
    {"reputation", BounceClass::kSpamBlock},
    {"blacklist", BounceClass::kSpamBlock},
    {"blocklist", BounceClass::kSpamBlock},
    {"block list", BounceClass::kSpamBlock},
    {"spamhaus", BounceClass::kSpamBlock},
    {"spamcop", BounceClass::kSpamBlock},
    {"barracuda", BounceClass::kSpamBlock},
    {"dnsbl", BounceClass::kSpamBlock},
    {" rbl", BounceClass::kSpamBlock},
    {"blocked", BounceClass::kSpamBlock},
    {"banned", BounceClass::kSpamBlock},
    {"complaints", BounceClass::kSpamBlock},
    {"spam", BounceClass::kSpamContent},
    {"unsolicited", BounceClass::kSpamContent},
    {"phish", BounceClass::kSpamContent},
    {"virus", BounceClass::kSpamContent},
    {"malware", BounceClass::kSpamContent},
    {"content reject", BounceClass::kSpamContent},
    {"greylist", BounceClass::kTransientFailure},
    {"graylist", BounceClass::kTransientFailure},
    {"rate limit", BounceClass::kTransientFailure},
    {"throttl", BounceClass::kTransientFailure},
    {"too many connections", BounceClass::kTransientFailure},
    {"too many messages", BounceClass::kTransientFailure},
    {"try again", BounceClass::kTransientFailure},
    {"try later", BounceClass::kTransientFailure},
    {"dns ", BounceClass::kDnsFailure},
    {"name service error", BounceClass::kDnsFailure},
    {"lost connection", BounceClass::kBadConnection},
    {"connection reset", BounceClass::kBadConnection},
    {"connection closed", BounceClass::kBadConnection},
    {"starttls", BounceClass::kBadConnection},
    {"certificate", BounceClass::kBadConnection},
    {"connection refused", BounceClass::kNoAnswerFromHost},
    {"timed out", BounceClass::kNoAnswerFromHost},
    {"no route to host", BounceClass::kNoAnswerFromHost},
    {"network is unreachable", BounceClass::kNoAnswerFromHost},
    {"expired", BounceClass::kMessageExpired},
    {"syntax error", BounceClass::kProtocolError},
    {"unrecognized", BounceClass::kProtocolError},
    {"bad sequence", BounceClass::kProtocolError},
    {"not implemented", BounceClass::kProtocolError},
    {"bare lf", BounceClass::kProtocolError},
    {"bare newline", BounceClass::kProtocolError},
    {"policy", BounceClass::kPolicyRelated},
    {"prohibited", BounceClass::kPolicyRelated},
    {"not authorized", BounceClass::kPolicyRelated},
    {"not allowed", BounceClass::kPolicyRelated},
    {"access denied", BounceClass::kPolicyRelated},
    {"size limit", BounceClass::kPolicyRelated},
    {"message size", BounceClass::kPolicyRelated},
    {"too large", BounceClass::kPolicyRelated},
};

// What a basic code says by itself (RFC 5321 §4.2.3, RFC 4954 §6, RFC 7504). 550 and 554 say nothing.
constexpr struct {
  int smtp_code;
  BounceClass cls;
} kBasicCodes[] = {
    {500, BounceClass::kProtocolError},
    {501, BounceClass::kProtocolError},
    {502, BounceClass::kProtocolError},
    {503, BounceClass::kProtocolError},
    {504, BounceClass::kProtocolError},
    {555, BounceClass::kProtocolError},
    {521, BounceClass::kBadDomain},
    {556, BounceClass::kBadDomain},
    {530, BounceClass::kAuthenticationFailed},
    {534, BounceClass::kAuthenticationFailed},
    {535, BounceClass::kAuthenticationFailed},
    {538, BounceClass::kAuthenticationFailed},
    {551, BounceClass::kInvalidRecipient},
    {553, BounceClass::kInvalidRecipient},
    {552, BounceClass::kQuotaIssue},
};

template <std::size_t N>
std::optional<BounceClass> ByCode(const CodeRule (&rules)[N], const EnhancedCode& code) {
  for (const CodeRule& rule : rules) {
    if (rule.subject == code.subject && rule.first <= code.detail && code.detail <= rule.last) return rule.cls;
  }
  return std::nullopt;
}

// Mailbox disabled (5.2.1) is final; with a 4 the big providers say it of mailboxes that get too much mail just now.
std::optional<BounceClass> ByMailboxState(const EnhancedCode& code) {
  if (code.subject != 2 || code.detail != 1) return std::nullopt;
  return code.cls == 4 ? BounceClass::kTransientFailure : BounceClass::kInactiveMailbox;
}

std::optional<BounceClass> ByText(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text.substr(0, kMaxLookedAt));
  for (const auto& [words, cls] : kTexts) {
    if (absl::StrContains(lower, words)) return cls;
  }
  return std::nullopt;
}

std::optional<BounceClass> ByBasicCode(int smtp_code) {
  for (const auto& [code, cls] : kBasicCodes) {
    if (code == smtp_code) return cls;
  }
  return std::nullopt;
}

}  // namespace

absl::string_view BounceClassName(BounceClass cls) {
  for (const auto& [value, name] : kNames) {
    if (value == cls) return name;
  }
  return "Undetermined";
}

std::optional<BounceClass> ParseBounceClass(absl::string_view name) {
  for (const auto& [value, known] : kNames) {
    if (known == name) return value;
  }
  return std::nullopt;
}

BounceClass Classify(int smtp_code, const EnhancedCode& enhanced, absl::string_view text) {
  const int digit = enhanced ? enhanced.cls : smtp_code / 100;
  if (digit == 2) return BounceClass::kNone;
  if (const auto cls = ByCode(kTellingCodes, enhanced)) return *cls;
  if (const auto cls = ByMailboxState(enhanced)) return *cls;
  if (const auto cls = ByText(text)) return *cls;
  if (digit == 4) return BounceClass::kTransientFailure;
  if (const auto cls = ByCode(kVagueCodes, enhanced)) return *cls;
  return ByBasicCode(smtp_code).value_or(BounceClass::kUndetermined);
}

}  // namespace hikyaku::outcome
