// The digest that a signature signs: the fields that h= names, and the signature's own field.
//
// Source:     RFC 6376 §3.7, §5.4.2 (of several fields of one name, the lowest first), §8.15 (names without a field).
// Threading:  pure.
#ifndef HIKYAKU_LIB_DKIM_HEADER_DIGEST_H_
#define HIKYAKU_LIB_DKIM_HEADER_DIGEST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/dkim/canonical.h"
#include "lib/mime/header.h"

namespace hikyaku::dkim {

// SHA-256 over the fields of `header` that `names` choose, and over `own`, the signature's field with an
// empty b=. A name beyond the fields there are adds nothing, and so forbids that one is added later.
std::string HeaderDigest(const mime::HeaderFields& header, const std::vector<absl::string_view>& names, Form form,
                         absl::string_view own);

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_HEADER_DIGEST_H_
