// Signs a message: makes the DKIM-Signature field that is to stand before it.
//
// Source:     RFC 6376 §3.5, §5; RFC 8301; RFC 8463; RFC 8058 §4 (what must be signed beside List-Unsubscribe).
// Non-goals:  which domain signs, and with which keys (lib/delivery/dkim_keys.h).
// Threading:  pure.
#ifndef HIKYAKU_LIB_DKIM_SIGNER_H_
#define HIKYAKU_LIB_DKIM_SIGNER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/crypto/signing_key.h"
#include "lib/dkim/canonical.h"
#include "lib/mime/header.h"

namespace hikyaku::dkim {

// Who signs.
struct Signatory {
  std::string domain;    // d=
  std::string selector;  // s=
  crypto::SigningKey key;
};

struct SigningOptions {
  std::int64_t time = 0;  // t=, Unix seconds.
  Form header_form = Form::kRelaxed;
  Form body_form = Form::kRelaxed;
};

// h= for this header: see the table in signer.cc. Each field of a name that is listed is covered, and for most names
// one more, which nobody can add then without breaking the signature. They live for ever.
std::vector<absl::string_view> NamesToSign(const mime::HeaderFields& header);

// The whole field, folded, with its last CRLF. `body_digest` is what a BodyHasher of options.body_form gave for the
// body. There is no l= (what is appended must break it), no i= (it is d=), no x= (mail may wait for days).
//
// kInternal: the key could not sign. The mail must not leave without the signature.
absl::StatusOr<std::string> Sign(const mime::HeaderFields& header, absl::string_view body_digest,
                                 const Signatory& signatory, const SigningOptions& options);

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_SIGNER_H_
