#include "services/hikyaku/dkim/zone_file.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/status_macros.h"

namespace hikyaku::cli {
namespace {

struct Token {
  std::string text;
  bool quoted = false;
};

// One record: its tokens, which parentheses may spread over lines.
struct Entry {
  int line = 0;
  bool owner_given = false;  // The line began with a name, not with a blank.
  std::vector<Token> tokens;
};

class Lexer {
 public:
  explicit Lexer(absl::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }

  absl::StatusOr<Entry> Next() {
    Entry entry;
    entry.line = line_;
    entry.owner_given = !rest_.empty() && absl::ascii_isspace(rest_[0]) == 0;
    int open = 0;
    while (!rest_.empty()) {
      const char c = Take();
      if (c == '\n' && open == 0) return entry;
      if (c == '(' || c == ')') {
        open += c == '(' ? 1 : -1;
      } else if (c == ';') {
        while (!rest_.empty() && rest_[0] != '\n') Take();
      } else if (c == '"') {
        ASSIGN_OR_RETURN(std::string text, Quoted());
        entry.tokens.push_back({std::move(text), true});
      } else if (!absl::ascii_isspace(static_cast<unsigned char>(c))) {
        entry.tokens.push_back({Word(c), false});
      }
    }
    if (open != 0) return Wrong(entry.line, "a parenthesis is not closed");
    return entry;
  }

  static absl::Status Wrong(int line, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("line ", line, ": ", what));
  }

 private:
  char Take() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    line_ += c == '\n' ? 1 : 0;
    return c;
  }

  // After a backslash: three digits are a byte, another character is itself.
  char Escaped() {
    if (rest_.size() >= 3 && absl::ascii_isdigit(rest_[0]) && absl::ascii_isdigit(rest_[1]) &&
        absl::ascii_isdigit(rest_[2])) {
      int value = 0;
      for (int i = 0; i < 3; ++i) value = value * 10 + (Take() - '0');
      return static_cast<char>(value);
    }
    return rest_.empty() ? '\\' : Take();
  }

  absl::StatusOr<std::string> Quoted() {
    std::string text;
    const int begun = line_;
    while (!rest_.empty()) {
      const char c = Take();
      if (c == '"') return text;
      text.push_back(c == '\\' ? Escaped() : c);
    }
    return Wrong(begun, "a quote is not closed");
  }

  std::string Word(char first) {
    std::string text(1, first);
    while (!rest_.empty() && absl::string_view(" \t\r\n();\"").find(rest_[0]) == absl::string_view::npos) {
      text.push_back(Take());
    }
    return text;
  }

  absl::string_view rest_;
  int line_ = 1;
};

// "k1._domainkey" with origin "example.com." is "k1._domainkey.example.com".
std::string FullName(absl::string_view name, const std::string& origin) {
  std::string full = name == "@" ? origin : std::string(name);
  if (full.empty() || full.back() != '.') absl::StrAppend(&full, ".", origin);
  while (!full.empty() && full.back() == '.') full.pop_back();
  return absl::AsciiStrToLower(full);
}

// Where the type stands among the tokens: behind TTL and class, which come in either order.
std::size_t TypeAt(const std::vector<Token>& tokens, std::size_t from) {
  while (from < tokens.size() && !tokens[from].quoted && !tokens[from].text.empty() &&
         (absl::ascii_isdigit(tokens[from].text.front()) || absl::AsciiStrToUpper(tokens[from].text) == "IN")) {
    ++from;
  }
  return from;
}

}  // namespace

absl::StatusOr<TxtRecords> ParseZone(absl::string_view text) {
  TxtRecords records;
  std::string origin;
  std::string owner;
  for (Lexer lexer(text); !lexer.done();) {
    ASSIGN_OR_RETURN(const Entry entry, lexer.Next());
    const std::vector<Token>& tokens = entry.tokens;
    if (tokens.empty()) continue;
    if (tokens[0].text == "$ORIGIN" && tokens.size() > 1) origin = tokens[1].text;
    if (!tokens[0].quoted && tokens[0].text.front() == '$') continue;
    if (entry.owner_given) owner = FullName(tokens[0].text, origin);
    const std::size_t type = TypeAt(tokens, entry.owner_given ? 1 : 0);
    if (type >= tokens.size() || absl::AsciiStrToUpper(tokens[type].text) != "TXT") continue;
    if (owner.empty()) return Lexer::Wrong(entry.line, "a TXT record without a name");
    std::string joined;
    for (std::size_t i = type + 1; i < tokens.size(); ++i) joined += tokens[i].text;
    records[owner].push_back(std::move(joined));
  }
  return records;
}

}  // namespace hikyaku::cli
