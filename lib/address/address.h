// One mail address, from the text of an API field or of an SMTP path, in one canonical form.
//
// Source:     RFC 5321 §4.1.2 (grammar), §4.1.3 (literals), §4.5.3.1 (lengths); RFC 6531 §3.3 (UTF-8).
// Non-goals:  display names, comments, folding (mailbox.h); parameters after a path (lib/smtp); whether to relay.
// Threading:  plain values and pure functions.
//
// A local part is never interpreted: `%` and `!` in it are characters like others, and source routes are refused, so
// that no spelling of a recipient goes anywhere but to the domain that is written last (BATTERY 2.3).
#ifndef HIKYAKU_LIB_ADDRESS_ADDRESS_H_
#define HIKYAKU_LIB_ADDRESS_ADDRESS_H_

#include <compare>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::address {

inline constexpr std::size_t kMaxLocalOctets = 64;     // RFC 5321 §4.5.3.1.1.
inline constexpr std::size_t kMaxPathOctets = 256;     // §4.5.3.1.3, with the angle brackets.
inline constexpr std::size_t kMaxAddressOctets = 254;  // The same without them.

struct Address {
  // As SMTP writes it: a dot-atom, else a quoted string with its quotes and as few backslashes as possible. Case kept.
  std::string local;
  // A-label in lower case without trailing dot, or a canonical literal with brackets (`[IPv6:2001:db8::1]`).
  std::string domain;
  bool literal = false;  // `domain` is an address literal.

  // The null reverse path.
  bool empty() const { return local.empty() && domain.empty(); }

  // `local@domain`, ready for a header or, within `<>`, for SMTP. The null path is "", a bare postmaster has no `@`.
  std::string ToString() const;

  // Whether the local part holds UTF-8, so that only a host with SMTPUTF8 may be offered it. (A domain never does.)
  bool NeedsSmtpUtf8() const;

  auto operator<=>(const Address&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine(std::move(h), a.local, a.domain, a.literal);
  }
};

// Reads an addr-spec (`user@domain`), all of `text`: no angle brackets, spaces, comments or name.
//
// Errors, and what the caller does next:
//   kInvalidArgument  Not an address.                               Refuse it: 501 5.1.3, or INVALID_ARGUMENT.
//   kOutOfRange       Local part, label, domain or whole too long.  The same.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

// Puts an address together from the content of a local part, without quotes and escapes, and a domain or literal in
// any spelling. The errors are those of ParseAddress.
absl::StatusOr<Address> MakeAddress(absl::string_view local_content, absl::string_view domain);

struct PathOptions {
  bool allow_null = false;        // `<>`: MAIL FROM.
  bool allow_postmaster = false;  // `<postmaster>` without a domain, in any case (RFC 5321 §4.5.1): RCPT TO.
};

struct Path {
  Address address;               // Empty for `<>`. For a bare postmaster, `domain` is empty and `local` is as written.
  bool null = false;             // It was `<>`.
  bool bare_postmaster = false;  // It was `<postmaster>`: our own, whatever the host is called.
  absl::string_view rest;        // What follows `>`: nothing, or a space and the parameters. Points into `text`.
};

// Reads the path at the start of `text`, which begins with `<`, as after `MAIL FROM:` and `RCPT TO:`.
// The errors are those of ParseAddress; a source route (`<@a,@b:c@d>`) is kInvalidArgument.
absl::StatusOr<Path> ParsePath(absl::string_view text, PathOptions options);

}  // namespace hikyaku::address

#endif  // HIKYAKU_LIB_ADDRESS_ADDRESS_H_
