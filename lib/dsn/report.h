// A delivery status notification: the mail that tells a sender what became of a message.
//
// Source:     RFC 3464 (message/delivery-status), RFC 6522 (multipart/report), RFC 3834 §5 (Auto-Submitted),
//             RFC 6533 (addresses and headers beyond ASCII), RFC 3461 §6 (what belongs into one).
// Non-goals:  whether one may be sent, and to whom (lib/queue/reports.h). It has no envelope sender: `<>`.
// Threading:  pure.
//
// Three parts: words for people; message/delivery-status for machines; the original, or its header alone. The result is
// 7-bit wherever that is possible (an 8-bit original is converted), so that no host on the way back refuses it. It is
// bounded: texts share kMaxTexts, a header is cut at kMaxHeader, and no more than kMaxRecipients are listed.
#ifndef HIKYAKU_LIB_DSN_REPORT_H_
#define HIKYAKU_LIB_DSN_REPORT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace hikyaku::dsn {

inline constexpr std::size_t kMaxTexts = 24 << 10;   // Of what peers said, in all recipients together.
inline constexpr std::size_t kMaxHeader = 32 << 10;  // Of the original.
inline constexpr std::size_t kMaxRecipients = 1000;  // In the machine's part; beyond, their number is told.
inline constexpr std::size_t kShownRecipients = 20;  // In the words for people.

enum class Action { kFailed, kDelayed, kDelivered, kRelayed, kExpanded };

absl::string_view ActionName(Action action);  // As RFC 3464 §2.3.3 writes it.

struct ReportedRecipient {
  std::string address;
  std::string original_recipient;  // ORCPT as dsn::ParseOriginalRecipient keeps it; empty: none.
  std::string status;              // RFC 3463, as "5.1.1".
  int smtp_code = 0;               // 0: no peer spoke.
  std::string text;                // What it said, or what went wrong in our words: UTF-8 without controls.
  std::string remote_host;         // "mx1.example.net [192.0.2.1]:25"; empty: none was reached.
  absl::Time last_attempt;         // InfinitePast: none was made.
};

struct Report {
  Action action = Action::kFailed;
  std::string hostname;    // Ours.
  std::string from;        // Address in From.
  std::string to;          // The sender of the original; never empty.
  std::string message_id;  // Without brackets.
  absl::Time date;

  std::string envelope_id;          // ENVID as xtext; empty: none.
  std::string original_message_id;  // Without brackets; empty: none.
  absl::Time arrival;
  absl::Time retry_until;  // kDelayed.
  std::vector<ReportedRecipient> recipients;

  absl::string_view original;         // As it was accepted; empty: it cannot be read, and its part is left out.
  bool headers_only = false;          // RET=HDRS.
  std::size_t full_up_to = 50 << 10;  // A larger original is returned as its header.
  bool smtputf8 = false;              // The original needed SMTPUTF8: so its sender can read what is beyond ASCII.

  std::string boundary_token;  // At least 128 random bits, as letters and digits.
};

struct BuiltReport {
  std::string bytes;
  bool eight_bit = false;  // 8BITMIME is needed.
  bool smtputf8 = false;   // The header needs SMTPUTF8.
};

BuiltReport BuildReport(const Report& report);

}  // namespace hikyaku::dsn

#endif  // HIKYAKU_LIB_DSN_REPORT_H_
