#include "lib/mime/header.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

constexpr std::size_t kUsualFields = 24;
constexpr std::size_t kMaxNameLength = kMaxLine - 1;  // A name and its colon fill at most one line.

absl::Status Bad(std::size_t line, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("header line ", line, ": ", what));
}

// What is wrong with the bytes of one line, its CRLF not included; null when nothing is.
const char* BadByte(absl::string_view line) {
  constexpr absl::string_view kForbidden("\r\n\0", 3);
  const std::size_t at = line.find_first_of(kForbidden);
  if (at == absl::string_view::npos) return nullptr;
  return line[at] == '\0' ? "holds a NUL" : "holds a CR or LF that is not part of a CRLF";
}

// The length of the name at the start of `line`, up to the colon; 0 with the reason in `why`.
std::size_t NameLength(absl::string_view line, absl::string_view* why) {
  const std::size_t colon = line.find(':');
  *why = "has no colon; a header field is \"Name: value\", and an empty line ends the header";
  if (colon == absl::string_view::npos) return 0;
  *why = "starts with a colon";
  if (colon == 0) return 0;
  *why = "its field name is too long";
  if (colon > kMaxNameLength) return 0;
  const absl::string_view name = line.substr(0, colon);
  *why = "its field name holds a space, a control character or a character that is not ASCII";
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= 33 && c <= 126; }) ? colon : 0;
}

}  // namespace

bool HeaderField::Is(absl::string_view other_name) const { return absl::EqualsIgnoreCase(name, other_name); }

std::string HeaderField::Unfolded() const {
  std::string unfolded;
  unfolded.reserve(value.size());
  for (const char c : TrimBlanks(value)) {
    if (c != '\r' && c != '\n') unfolded.push_back(c);
  }
  return unfolded;
}

absl::StatusOr<HeaderFields> HeaderFields::Parse(absl::string_view message) {
  HeaderFields header;
  header.fields_.reserve(kUsualFields);
  std::size_t at = 0;
  // Invariant: message[0, at) are whole lines, and the last field ends at `at`.
  for (std::size_t line_number = 1; at < message.size(); ++line_number) {
    const std::size_t crlf = message.find("\r\n", at);
    const std::size_t end = crlf == absl::string_view::npos ? message.size() : crlf;
    const std::size_t next = crlf == absl::string_view::npos ? message.size() : crlf + 2;
    if (next > kMaxHeaderBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the header is longer than ", kMaxHeaderBytes / 1024, " KiB"));
    }
    const absl::string_view line = message.substr(at, end - at);
    if (line.empty()) {
      header.body_ = message.substr(next);
      break;
    }
    if (const char* what = BadByte(line)) return Bad(line_number, what);
    if (line[0] == ' ' || line[0] == '\t') {
      if (header.fields_.empty())
        return Bad(line_number, "continues a field (starts with a space), but none precedes it");
      HeaderField& field = header.fields_.back();
      field.raw = absl::string_view(field.raw.data(), message.data() + next - field.raw.data());
      field.value = absl::string_view(field.value.data(), message.data() + end - field.value.data());
    } else {
      absl::string_view why;
      const std::size_t name_length = NameLength(line, &why);
      if (name_length == 0) return Bad(line_number, why);
      if (header.fields_.size() == kMaxFields) {
        return absl::InvalidArgumentError(absl::StrCat("the header has more than ", kMaxFields, " fields"));
      }
      header.fields_.push_back(
          {line.substr(0, name_length), line.substr(name_length + 1), message.substr(at, next - at)});
    }
    at = next;
  }
  header.header_ = message.substr(0, at);
  return header;
}

const HeaderField* HeaderFields::Find(absl::string_view name) const {
  for (const HeaderField& field : fields_) {
    if (field.Is(name)) return &field;
  }
  return nullptr;
}

std::size_t HeaderFields::Count(absl::string_view name) const {
  return std::count_if(fields_.begin(), fields_.end(), [&](const HeaderField& field) { return field.Is(name); });
}

}  // namespace hikyaku::mime
