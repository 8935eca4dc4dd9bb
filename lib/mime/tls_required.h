// The header field `TLS-Required: No`: the sender would rather have this mail arrive in clear text than not at all, and
// asks that what the recipient's domain says of TLS (MTA-STS, DANE) be ignored.
//
// Source:     RFC 8689 §3.
// Threading:  pure.
#ifndef HIKYAKU_LIB_MIME_TLS_REQUIRED_H_
#define HIKYAKU_LIB_MIME_TLS_REQUIRED_H_

#include <string>
#include <utility>
#include <vector>

#include "lib/mime/header.h"

namespace hikyaku::mime {

// The field is there, exactly once, and says No. Twice is against the RFC; then none is believed: the safer way.
bool WaivesTls(const HeaderFields& header);

// The same for fields that are yet to be written, as name and value.
bool WaivesTls(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_TLS_REQUIRED_H_
