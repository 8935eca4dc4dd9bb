// "name=value; name=value": the grammar of signatures and of key records.
//
// Source:     RFC 6376 §3.2; RFC 8616 §5 (UTF-8 in values).
// Threading:  a value; const methods are safe from every thread.
#ifndef HIKYAKU_LIB_DKIM_TAG_LIST_H_
#define HIKYAKU_LIB_DKIM_TAG_LIST_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::dkim {

// More is an attack: a signature with a key of 4096 bits that names 100 fields has about 3 kB and 12 tags.
inline constexpr std::size_t kMaxTagListOctets = 16 * 1024;
inline constexpr std::size_t kMaxTags = 50;

struct Tag {
  absl::string_view name;
  absl::string_view value;  // Without the blanks and folds around it.
};

class TagList {
 public:
  // Views into `text`, which outlives the list. kInvalidArgument: not the grammar, a name twice, more than the bounds
  // allow; the text says what and where.
  static absl::StatusOr<TagList> Parse(absl::string_view text);

  // Names compare with regard to case.
  std::optional<absl::string_view> Find(absl::string_view name) const;

  const std::vector<Tag>& tags() const { return tags_; }

 private:
  std::vector<Tag> tags_;
};

// `value` without its blanks and folds, as base64 wants it.
std::string WithoutBlanks(absl::string_view value);

// Of a list such as "from : to:subject": its members without blanks around them.
std::vector<absl::string_view> SplitColons(absl::string_view value);

}  // namespace hikyaku::dkim

#endif  // HIKYAKU_LIB_DKIM_TAG_LIST_H_
