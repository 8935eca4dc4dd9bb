// Collects what is wrong with a request, and the checks that several fields share.
//
// Threading: one owner.
#ifndef HIKYAKU_LIB_SUBMISSION_FIELD_CHECKER_H_
#define HIKYAKU_LIB_SUBMISSION_FIELD_CHECKER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "lib/address/address.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {

class FieldChecker {
 public:
  // Records that `path` is wrong.
  void Refuse(std::string path, absl::string_view description);

  // An address, or nothing and a record.
  std::optional<address::Address> Address(const std::string& path, absl::string_view text);

  // Valid UTF-8 without CR, LF and NUL, at most `limit` bytes: what may become a header or a parameter.
  bool HeaderText(const std::string& path, absl::string_view text, std::size_t limit);

  // [A-Za-z0-9._-], at most 64 characters; may be empty.
  bool Label(const std::string& path, absl::string_view text);

  // A timestamp of RFC 3339's range, or nothing and a record.
  std::optional<absl::Time> Time(const std::string& path, const google::protobuf::Timestamp& time);

  bool ok() const { return errors_.empty(); }
  const std::vector<FieldError>& errors() const { return errors_; }

 private:
  std::vector<FieldError> errors_;
};

}  // namespace hikyaku::submission

#endif  // HIKYAKU_LIB_SUBMISSION_FIELD_CHECKER_H_
