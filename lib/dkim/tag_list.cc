#include "lib/dkim/tag_list.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/status_macros.h"

namespace hikyaku::dkim {
namespace {

constexpr absl::string_view kBlanks = " \t\r\n";

// How much of a foreign text is shown.
constexpr std::size_t kShown = 30;

bool IsBlank(char c) { return kBlanks.find(c) != absl::string_view::npos; }

absl::string_view Trim(absl::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsName(absl::string_view name) {
  if (name.empty() || !absl::ascii_isalpha(static_cast<unsigned char>(name[0]))) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_') return false;
  }
  return true;
}

// VALCHAR and blanks; from 0x80 on it is UTF-8, which is only text here.
bool IsValue(absl::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x21 && !IsBlank(c)) || byte == 0x7f) return false;
  }
  return true;
}

absl::Status Wrong(absl::string_view spec, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", absl::CHexEscape(spec.substr(0, kShown)), "\" ", what));
}

absl::StatusOr<Tag> ParseTag(absl::string_view spec) {
  const std::size_t equals = spec.find('=');
  if (equals == absl::string_view::npos) return Wrong(spec, "is no tag: there is no \"=\"");
  const Tag tag{Trim(spec.substr(0, equals)), Trim(spec.substr(equals + 1))};
  if (!IsName(tag.name)) return Wrong(spec, "is no tag: its name must be a letter, then letters, digits and \"_\"");
  if (!IsValue(tag.value)) return Wrong(spec, "holds a control character");
  return tag;
}

}  // namespace

absl::StatusOr<TagList> TagList::Parse(absl::string_view text) {
  if (text.size() > kMaxTagListOctets) {
    return absl::InvalidArgumentError(absl::StrCat("the tags have more than ", kMaxTagListOctets, " octets"));
  }
  TagList list;
  while (!Trim(text).empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    ASSIGN_OR_RETURN(const Tag tag, ParseTag(Trim(text.substr(0, end))));
    if (list.Find(tag.name)) return Wrong(tag.name, "is there twice");
    if (list.tags_.size() == kMaxTags) return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxTags, " tags"));
    list.tags_.push_back(tag);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

std::optional<absl::string_view> TagList::Find(absl::string_view name) const {
  for (const Tag& tag : tags_) {
    if (tag.name == name) return tag.value;
  }
  return std::nullopt;
}

std::string WithoutBlanks(absl::string_view value) {
  std::string bare;
  bare.reserve(value.size());
  for (const char c : value) {
    if (!IsBlank(c)) bare.push_back(c);
  }
  return bare;
}

std::vector<absl::string_view> SplitColons(absl::string_view value) {
  std::vector<absl::string_view> members = absl::StrSplit(value, ':');
  for (absl::string_view& member : members) member = Trim(member);
  return members;
}

}  // namespace hikyaku::dkim
