// Addresses with names, as header fields hold them: `Alice <a@example.com>, team: b@example.com;`.
//
// Source:     RFC 5322 §3.4 (mailbox, group, addr-spec), §4.4 (obsolete forms that mail still has), RFC 6532 (UTF-8).
// Non-goals:  decoding or making encoded-words (lib/mime); writing headers (lib/mime).
// Threading:  pure functions.
#ifndef HIKYAKU_LIB_ADDRESS_MAILBOX_H_
#define HIKYAKU_LIB_ADDRESS_MAILBOX_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/address/address.h"

namespace hikyaku::address {

struct Mailbox {
  std::string display_name;  // Without quotes and escapes; encoded-words as they were; may be empty.
  Address address;

  bool operator==(const Mailbox&) const = default;
};

inline constexpr std::size_t kMaxMailboxes = 1000;  // Bounds what one hostile header can cost.

// Reads the body of a From, To, Cc, Sender or Reply-To field, folded or not. Members of groups are listed in place;
// an empty group (`undisclosed-recipients:;`) gives nothing, so the answer may be empty. Linear in `body`.
//
// Errors, and what the caller does next:
//   kInvalidArgument    Not a list of addresses (`<>` is not one).  Refuse the message: 554 5.6.0.
//   kOutOfRange         An address is too long.                     The same.
//   kResourceExhausted  More than kMaxMailboxes.                    The same.
absl::StatusOr<std::vector<Mailbox>> ParseMailboxList(absl::string_view body);

// Reads exactly one, with or without a name: `a@example.com`, `Alice <a@example.com>`. Errors as above.
absl::StatusOr<Mailbox> ParseMailbox(absl::string_view text);

}  // namespace hikyaku::address

#endif  // HIKYAKU_LIB_ADDRESS_MAILBOX_H_
