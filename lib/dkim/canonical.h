// Canonical forms of fields and bodies: what of a message is hashed, so that what relays change on the way does not
// matter.
//
// Source:     RFC 6376 §3.4.
// Non-goals:  which fields (header_digest.h); line ends: CRLF alone ends a line, a bare CR or LF is a byte like others.
// Threading:  AppendField is pure; a BodyHasher has one owner.
#ifndef HIKYAKU_LIB_DKIM_CANONICAL_H_
#define HIKYAKU_LIB_DKIM_CANONICAL_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/crypto/digest.h"

namespace hikyaku::dkim {

enum class Form {
  kSimple,   // As it is; only empty lines at the end of a body do not count.
  kRelaxed,  // Runs of blanks are one space, none at the end of a line; fields unfolded, their names in lower case.
};

absl::string_view FormName(Form form);  // simple, relaxed

// Appends the field `raw` (its name, colon and value, with or without the last CRLF) in its form, without the CRLF.
void AppendField(Form form, absl::string_view raw, std::string* out);

// SHA-256 over the form of a body that comes in pieces, cut anywhere. Nothing but a few bytes is copied.
class BodyHasher {
 public:
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  // Of the form, only the first `limit` octets are hashed: the tag l=.
  explicit BodyHasher(Form form, std::uint64_t limit = kNoLimit) : form_(form), limit_(limit) {}

  void Update(absl::string_view piece);

  // The digest, 32 bytes. The last call but for octets().
  std::string Finish();

  // Octets of the form so far; after Finish, of all of it, whatever the limit.
  std::uint64_t octets() const { return octets_; }

 private:
  std::size_t PlainRun(absl::string_view text) const;
  void EmitText(absl::string_view text);
  void Emit(absl::string_view bytes);

  const Form form_;
  const std::uint64_t limit_;
  crypto::Sha256Stream hash_;
  std::uint64_t octets_ = 0;
  std::uint64_t line_ends_ = 0;  // Held back: at the end of the body they do not count.
  bool after_cr_ = false;        // The last byte was a CR: with an LF it ends a line.
  bool blank_ = false;           // kRelaxed: blanks held back; at the end of a line they do not count.
};

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_CANONICAL_H_
