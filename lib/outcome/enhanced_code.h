// The status code of mail, `class.subject.detail`: 5.1.1 is a permanent failure (5) of the address (1): no such
// mailbox (1).
//
// Source:     RFC 3463 §2 (syntax), RFC 2034 §4 (at the start of a reply's text), RFC 5248 (registry).
// Threading:  plain values.
#ifndef HIKYAKU_LIB_OUTCOME_ENHANCED_CODE_H_
#define HIKYAKU_LIB_OUTCOME_ENHANCED_CODE_H_

#include <compare>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace hikyaku::outcome {

struct EnhancedCode {
  int cls = 0;  // 2 success, 4 transient, 5 permanent; 0: there is no code.
  int subject = 0;
  int detail = 0;

  explicit operator bool() const { return cls != 0; }

  // `5.1.1`; "" when there is no code.
  std::string ToString() const;

  auto operator<=>(const EnhancedCode&) const = default;
};

// Reads all of `text` as a code: class 2, 4 or 5, then two numbers of 1 to 3 digits.
std::optional<EnhancedCode> ParseEnhancedCode(absl::string_view text);

// Takes the code from the start of a reply's text, with the space after it. Nothing is taken, and nothing returned,
// when there is none or when its class is not the first digit of `smtp_code`: hosts that say `450 5.1.1` exist, and the
// basic code is what the protocol runs on.
std::optional<EnhancedCode> TakeEnhancedCode(absl::string_view& text, int smtp_code);

}  // namespace hikyaku::outcome

#endif  // HIKYAKU_LIB_OUTCOME_ENHANCED_CODE_H_
