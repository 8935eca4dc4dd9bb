#include "lib/address/mailbox.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"

namespace hikyaku::address {
namespace {

absl::Status Invalid(absl::string_view why) { return absl::InvalidArgumentError(why); }

struct Token {
  enum Kind { kEnd, kAtom, kQuoted, kLiteral, kSpecial };
  Kind kind = kEnd;
  std::string text;     // An atom, the content of a quoted string, a literal with its brackets, or one special.
  bool spaced = false;  // White space or a comment stood before it.

  bool Is(char special) const { return kind == kSpecial && text[0] == special; }
  bool IsWord() const { return kind == kAtom || kind == kQuoted; }
  bool EndsMailbox() const { return kind == kEnd || Is(',') || Is(';'); }
};

constexpr absl::string_view kSpecials = "<>@,;:.";

// Splits a field's body into tokens (RFC 5322 §3.2). One pass, no recursion: comments may nest without limit.
class Lexer {
 public:
  explicit Lexer(absl::string_view body) : rest_(body) {}

  absl::StatusOr<Token> Next() {
    Token token;
    ASSIGN_OR_RETURN(token.spaced, SkipSpaceAndComments());
    if (rest_.empty()) return token;
    const char first = rest_.front();
    if (first == '"') {
      token.kind = Token::kQuoted;
      ASSIGN_OR_RETURN(token.text, TakeQuoted());
    } else if (first == '[') {
      token.kind = Token::kLiteral;
      ASSIGN_OR_RETURN(token.text, TakeLiteral());
    } else if (kSpecials.find(first) != absl::string_view::npos) {
      token.kind = Token::kSpecial;
      token.text = Take(1);
    } else {
      token.kind = Token::kAtom;
      ASSIGN_OR_RETURN(token.text, TakeAtom());
    }
    return token;
  }

 private:
  std::string Take(std::size_t n) {
    std::string taken(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return taken;
  }

  // Takes one white space character, or the CRLF of a fold before one (RFC 5322 §2.2.3).
  bool TakeSpace() {
    const bool fold = rest_.size() > 2 && absl::StartsWith(rest_, "\r\n") && IsBlank(rest_[2]);
    if (!fold && !(!rest_.empty() && IsBlank(rest_.front()))) return false;
    rest_.remove_prefix(fold ? 3 : 1);
    return true;
  }

  static bool IsBlank(char c) { return c == ' ' || c == '\t'; }

  absl::StatusOr<bool> SkipSpaceAndComments() {
    bool skipped = false;
    while (!rest_.empty()) {
      if (rest_.front() == '(') {
        RETURN_IF_ERROR(SkipComment());
      } else if (!TakeSpace()) {
        break;
      }
      skipped = true;
    }
    return skipped;
  }

  absl::Status SkipComment() {
    std::size_t depth = 0;
    do {
      if (rest_.empty()) return Invalid("a comment is not closed");
      if (TakeSpace()) continue;
      ASSIGN_OR_RETURN(const char c, TakeChar());
      if (c == '(') ++depth;
      if (c == ')') --depth;
      if (c == '\\') RETURN_IF_ERROR(TakeChar().status());
    } while (depth > 0);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> TakeQuoted() {
    std::string content;
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char blank = rest_.front();
      if (TakeSpace()) {
        content.push_back(blank == '\t' ? '\t' : ' ');
        continue;
      }
      ASSIGN_OR_RETURN(char c, TakeChar());
      if (c == '"') return content;
      if (c == '\\') {
        ASSIGN_OR_RETURN(c, TakeChar());
      }
      content.push_back(c);
    }
    return Invalid("a quoted string is not closed");
  }

  absl::StatusOr<std::string> TakeLiteral() {
    const std::size_t end = rest_.find(']');
    if (end == absl::string_view::npos) return Invalid("an address literal is not closed");
    return Take(end + 1);
  }

  absl::StatusOr<std::string> TakeAtom() {
    constexpr absl::string_view kEndsAtom = "<>@,;:.()[]\"\\ \t\r\n";
    std::string atom;
    while (!rest_.empty() && kEndsAtom.find(rest_.front()) == absl::string_view::npos) {
      ASSIGN_OR_RETURN(const char c, TakeChar());
      atom.push_back(c);
    }
    if (atom.empty()) return Invalid("a character stands where an address cannot have it");
    return atom;
  }

  // One octet that is no control: a bare CR, LF or NUL ends here.
  absl::StatusOr<char> TakeChar() {
    if (rest_.empty()) return Invalid("the field ends in the middle of an address");
    const char c = rest_.front();
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c)) && c != '\t') {
      return Invalid("the field holds a control character");
    }
    rest_.remove_prefix(1);
    return c;
  }

  absl::string_view rest_;
};

// The words before `<`, `@` or `:`: only what follows tells whether they are a name or a local part.
class Phrase {
 public:
  void Add(const Token& token) {
    const bool dot = token.Is('.');
    if (!name_.empty() && token.spaced) name_.push_back(' ');
    name_ += token.text;
    // local-part = word *("." word), RFC 5322 §4.4 obs-local-part: what else there is can only be a name.
    if (dot != last_is_word_) local_ok_ = false;
    local_ += token.text;
    last_is_word_ = !dot;
    empty_ = false;
  }

  bool empty() const { return empty_; }

  std::string Name() && {
    if (IsValidUtf8(name_)) return std::move(name_);
    std::string clean;
    for (absl::string_view rest = name_; !rest.empty();) {
      const absl::string_view before = rest;
      const bool good = TakeUtf8(rest).has_value();
      absl::StrAppend(&clean, good ? before.substr(0, before.size() - rest.size()) : "?");
    }
    return clean;
  }

  absl::StatusOr<std::string> Local() && {
    if (!local_ok_ || !last_is_word_) return Invalid("what stands before \"@\" is not a local part");
    return std::move(local_);
  }

 private:
  std::string name_;
  std::string local_;
  bool empty_ = true;
  bool local_ok_ = true;
  bool last_is_word_ = false;
};

class ListParser {
 public:
  explicit ListParser(absl::string_view body) : lexer_(body) {}

  absl::StatusOr<std::vector<Mailbox>> Parse() {
    RETURN_IF_ERROR(Advance());
    while (token_.kind != Token::kEnd) {
      if (token_.Is(',')) {  // Empty elements: RFC 5322 §4.4, obs-mbox-list.
        RETURN_IF_ERROR(Advance());
      } else if (token_.Is(';')) {
        RETURN_IF_ERROR(EndGroup());
      } else {
        RETURN_IF_ERROR(ParseElement());
      }
    }
    if (in_group_) return Invalid("a group is not closed by \";\"");
    return std::move(found_);
  }

 private:
  absl::Status Advance() {
    ASSIGN_OR_RETURN(token_, lexer_.Next());
    return absl::OkStatus();
  }

  absl::Status EndGroup() {
    if (!in_group_) return Invalid("a \";\" stands outside a group");
    in_group_ = false;
    RETURN_IF_ERROR(Advance());
    return token_.EndsMailbox() ? absl::OkStatus() : Invalid("a group is followed by no comma");
  }

  // A mailbox, or the start of a group.
  absl::Status ParseElement() {
    Phrase phrase;
    ASSIGN_OR_RETURN(phrase, TakePhrase());
    if (token_.Is(':') && !phrase.empty() && !in_group_) {
      in_group_ = true;
      return Advance();
    }
    Mailbox mailbox;
    if (token_.Is('<')) {
      RETURN_IF_ERROR(Advance());
      mailbox.display_name = std::move(phrase).Name();
      ASSIGN_OR_RETURN(phrase, TakePhrase());
      ASSIGN_OR_RETURN(mailbox.address, TakeAddress(std::move(phrase)));
      if (!token_.Is('>')) return Invalid("an address has no closing \">\"");
      RETURN_IF_ERROR(Advance());
    } else {
      ASSIGN_OR_RETURN(mailbox.address, TakeAddress(std::move(phrase)));
    }
    if (!token_.EndsMailbox()) return Invalid("two addresses are not separated by a comma");
    if (found_.size() == kMaxMailboxes) {
      return absl::ResourceExhaustedError(absl::StrCat("the field has more than ", kMaxMailboxes, " addresses"));
    }
    found_.push_back(std::move(mailbox));
    return absl::OkStatus();
  }

  absl::StatusOr<Phrase> TakePhrase() {
    Phrase phrase;
    while (token_.IsWord() || token_.Is('.')) {
      phrase.Add(token_);
      RETURN_IF_ERROR(Advance());
    }
    return phrase;
  }

  // With the local part in `phrase`: the `@` and the domain.
  absl::StatusOr<Address> TakeAddress(Phrase phrase) {
    if (phrase.empty()) return Invalid(token_.Is('>') ? "<> is not an address" : "an address has no local part");
    if (!token_.Is('@')) return Invalid("an address has no \"@\"");
    RETURN_IF_ERROR(Advance());
    ASSIGN_OR_RETURN(const std::string local, std::move(phrase).Local());
    ASSIGN_OR_RETURN(const std::string domain, TakeDomain());
    return MakeAddress(local, domain);
  }

  absl::StatusOr<std::string> TakeDomain() {
    std::string domain;
    if (token_.kind == Token::kLiteral) {
      domain = token_.text;
      RETURN_IF_ERROR(Advance());
      return domain;
    }
    // Two atoms in a row are no domain; MakeAddress judges the dots.
    for (bool after_atom = false; token_.Is('.') || (token_.kind == Token::kAtom && !after_atom);) {
      after_atom = token_.kind == Token::kAtom;
      domain += token_.text;
      RETURN_IF_ERROR(Advance());
    }
    return domain;
  }

  Lexer lexer_;
  Token token_;
  bool in_group_ = false;
  std::vector<Mailbox> found_;
};

}  // namespace

absl::StatusOr<std::vector<Mailbox>> ParseMailboxList(absl::string_view body) {
  absl::ConsumeSuffix(&body, "\r\n");
  return ListParser(body).Parse();
}

absl::StatusOr<Mailbox> ParseMailbox(absl::string_view text) {
  ASSIGN_OR_RETURN(std::vector<Mailbox> all, ParseMailboxList(text));
  if (all.size() != 1) return Invalid(all.empty() ? "there is no address" : "one address is expected, not several");
  return std::move(all.front());
}

}  // namespace hikyaku::address
