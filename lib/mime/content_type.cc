#include "lib/mime/content_type.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

constexpr std::size_t kMaxParameters = 64;
constexpr std::size_t kMaxLeafTypeBytes = 500;

// Takes pieces from the front of a structured field value.
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : rest_(text) {}

  bool AtEnd() const { return rest_.empty(); }

  bool Take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // Skips blanks, folds and comments (RFC 5322 §3.2.2). A comment without an end takes all that is left.
  void SkipBlanksAndComments() {
    int depth = 0;
    while (!rest_.empty()) {
      const char c = rest_[0];
      if (c == '(') ++depth;
      if (depth == 0 && !absl::ascii_isspace(c)) return;
      if (c == ')') --depth;
      rest_.remove_prefix(c == '\\' && rest_.size() > 1 ? 2 : 1);
    }
  }

  // The longest start that is a token; may be empty.
  absl::string_view TakeToken() {
    std::size_t size = 0;
    while (size < rest_.size() && IsToken(rest_.substr(size, 1))) ++size;
    return TakeFront(size);
  }

  // A quoted-string's content, or all up to the next blank or semicolon: unquoted boundaries with "=" or "/" in them
  // are wrong and common.
  absl::StatusOr<std::string> TakeValue() {
    if (!Take('"')) {
      const std::size_t end = rest_.find_first_of("; \t\r\n");
      return std::string(TakeFront(std::min(end, rest_.size())));
    }
    std::string value;
    while (!rest_.empty() && rest_[0] != '"') {
      if (rest_[0] == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      if (rest_[0] != '\r' && rest_[0] != '\n') value.push_back(rest_[0]);
      rest_.remove_prefix(1);
    }
    if (!Take('"')) return absl::InvalidArgumentError("a quoted value does not end");
    return value;
  }

 private:
  absl::string_view TakeFront(std::size_t size) {
    const absl::string_view front = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return front;
  }

  absl::string_view rest_;
};

}  // namespace

absl::string_view ContentType::Parameter(absl::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return value;
  }
  return "";
}

absl::StatusOr<ContentType> ParseContentType(absl::string_view value) {
  Scanner scanner(value);
  ContentType parsed;
  scanner.SkipBlanksAndComments();
  parsed.type = absl::AsciiStrToLower(scanner.TakeToken());
  scanner.SkipBlanksAndComments();
  const bool slash = scanner.Take('/');
  scanner.SkipBlanksAndComments();
  parsed.subtype = absl::AsciiStrToLower(scanner.TakeToken());
  if (parsed.type.empty() || !slash || parsed.subtype.empty()) {
    return absl::InvalidArgumentError("is not of the form type/subtype");
  }
  while (true) {
    scanner.SkipBlanksAndComments();
    if (scanner.AtEnd()) return parsed;
    if (!scanner.Take(';')) return absl::InvalidArgumentError("a semicolon is missing before a parameter");
    scanner.SkipBlanksAndComments();
    if (scanner.AtEnd()) return parsed;
    std::string name = absl::AsciiStrToLower(scanner.TakeToken());
    scanner.SkipBlanksAndComments();
    if (name.empty() || !scanner.Take('=')) return absl::InvalidArgumentError("a parameter is not name=value");
    scanner.SkipBlanksAndComments();
    ASSIGN_OR_RETURN(std::string content, scanner.TakeValue());
    if (parsed.parameters.size() == kMaxParameters) return absl::InvalidArgumentError("has too many parameters");
    parsed.parameters.emplace_back(std::move(name), std::move(content));
  }
}

absl::StatusOr<ContentType> ParseLeafContentType(absl::string_view value) {
  if (value.size() > kMaxLeafTypeBytes) return absl::InvalidArgumentError("is longer than 500 bytes");
  const bool printable = std::all_of(value.begin(), value.end(), [](char c) { return c >= 32 && c <= 126; });
  if (!printable) return absl::InvalidArgumentError("may hold printable ASCII characters only");
  ASSIGN_OR_RETURN(ContentType parsed, ParseContentType(value));
  if (parsed.type == "multipart" || parsed.type == "message") {
    return absl::InvalidArgumentError(absl::StrCat(parsed.type, "/", parsed.subtype,
                                                   " is not allowed for a single part; use application/octet-stream"));
  }
  for (std::size_t i = 0; i < parsed.parameters.size(); ++i) {
    const std::string& name = parsed.parameters[i].first;
    if (name == "boundary" || name.find_first_of("*%'") != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("the parameter ", name, " is not allowed"));
    }
    if (parsed.parameters[i].second.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("the parameter ", name, " has no value"));
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (parsed.parameters[j].first != name) continue;
      return absl::InvalidArgumentError(absl::StrCat("the parameter ", name, " stands there twice"));
    }
  }
  return parsed;
}

}  // namespace hikyaku::mime
