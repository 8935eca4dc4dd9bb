// The value of a Content-Type field: type, subtype and parameters.
//
// Source:     RFC 2045 §5.1. RFC 2231 parameters are kept under the name they were written with.
// Threading:  a value; the functions are pure.
#ifndef HIKYAKU_LIB_MIME_CONTENT_TYPE_H_
#define HIKYAKU_LIB_MIME_CONTENT_TYPE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::mime {

struct ContentType {
  std::string type;                                             // Lower case: "text".
  std::string subtype;                                          // Lower case: "plain".
  std::vector<std::pair<std::string, std::string>> parameters;  // Names in lower case, values without their quotes.

  // The first value of that parameter (lower case), or "".
  absl::string_view Parameter(absl::string_view name) const;
};

// Reads a value as it stands in a message: folds and comments may appear between its parts.
// kInvalidArgument when it is not type "/" subtype *(";" name "=" value), or has more than 64 parameters; the caller
// takes the part as application/octet-stream (RFC 2045 §5.2) or refuses it.
absl::StatusOr<ContentType> ParseContentType(absl::string_view value);

// Reads what a client of the API names as the type of one leaf part. Refused beside bad syntax (kInvalidArgument, with
// a text for people): multipart/* and message/* , a boundary parameter, RFC 2231 names, a parameter named twice,
// anything but printable ASCII, more than 500 bytes.
absl::StatusOr<ContentType> ParseLeafContentType(absl::string_view value);

}  // namespace hikyaku::mime

#endif  // HIKYAKU_LIB_MIME_CONTENT_TYPE_H_
