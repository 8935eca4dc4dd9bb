// What the client of MAIL and RCPT may ask about reports, as values: RET, ENVID, NOTIFY, ORCPT.
//
// Source:     RFC 3461 §4 (parameters and xtext), RFC 6533 §3 (addresses beyond ASCII in them).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_DSN_OPTIONS_H_
#define HIKYAKU_LIB_DSN_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::dsn {

inline constexpr std::size_t kMaxEnvelopeId = 100;         // RFC 3461 §4.4, as xtext.
inline constexpr std::size_t kMaxOriginalRecipient = 500;  // §4.2, with its type.

// NOTIFY, as a sum. 0: it was not said. Stored: never renumber.
inline constexpr std::uint32_t kNever = 1;  // Stands alone.
inline constexpr std::uint32_t kSuccess = 2;
inline constexpr std::uint32_t kFailure = 4;
inline constexpr std::uint32_t kDelay = 8;

// Whether a recipient's sender wants to hear of `what`, one of the three above. Who said nothing hears of failure and
// delay (RFC 3461 §4.1 leaves the delay to us).
bool Wants(std::uint32_t notify, std::uint32_t what);

// "NEVER", or a list without repetition of the three others, in any case. Nothing: it is not that.
std::optional<std::uint32_t> ParseNotify(absl::string_view text);
std::string NotifyText(std::uint32_t notify);

// RET. Stored: as hikyaku.storage.v1.ReturnedContent.
enum class Returned { kUnspecified = 0, kFull = 1, kHeaders = 2 };

// "FULL" or "HDRS", in any case. Nothing: neither.
std::optional<Returned> ParseReturned(absl::string_view text);

// What a client says to a host that offers DSN: "RET=HDRS ENVID=…" and "NOTIFY=… ORCPT=…"; empty: nothing.
std::string MailParameters(Returned returned, absl::string_view envelope_id);
std::string RcptParameters(std::uint32_t notify, absl::string_view original_recipient);

// xtext of printable ASCII and spaces: "+", "=" and the space as "+XX".
std::string EncodeXtext(absl::string_view text);
// Nothing: it is no xtext, or hides something other than printable ASCII and spaces.
std::optional<std::string> DecodeXtext(absl::string_view xtext);

// Whether `xtext` can be an ENVID: not empty, not too long.
bool IsEnvelopeId(absl::string_view xtext);

// ORCPT, "type;xtext", in the form in which it is kept: ASCII, the type in lower case. `utf8`: characters beyond ASCII
// may stand in an address of type utf-8; they become "\x{HEX}". Nothing: it is none, or too long.
std::optional<std::string> ParseOriginalRecipient(absl::string_view text, bool utf8);

// A kept ORCPT as it stands in a report: "rfc822; user@example.com". `utf8`: "\x{HEX}" become their characters again.
std::string OriginalRecipientField(absl::string_view kept, bool utf8);

// An address with each character beyond ASCII, and each backslash, as "\x{HEX}" (utf-8-addr-xtext).
std::string EncodeUnicode(absl::string_view address);

}  // namespace hikyaku::dsn

#endif  // HIKYAKU_LIB_DSN_OPTIONS_H_
