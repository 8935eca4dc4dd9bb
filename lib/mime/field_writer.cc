#include "lib/mime/field_writer.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

constexpr std::size_t kFoldAt = kSoftLine - 1;  // Leaves room for one Append.
constexpr std::size_t kEncodedLine = 76;        // RFC 2047 §2: a line with an encoded-word.
constexpr std::size_t kEncodedWord = 75;        // RFC 2047 §2: an encoded-word.
constexpr std::size_t kEncodedFrame = 12;       // "=?UTF-8?B?" and "?=".
constexpr std::size_t kLeastEncodedWord = 30;   // Shorter ones are not worth the rest of a line.
constexpr std::size_t kLongestWord = 900;       // With a name of 76 characters still far from kMaxLine.
constexpr std::size_t kMostBlanks = 40;         // So that blanks and kLeastEncodedWord fit on a line.
constexpr std::size_t kLongestQuoted = 70;
constexpr absl::string_view kBlanks = " \t";

bool IsAlnum(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

bool IsOneOf(char c, absl::string_view set) { return set.find(c) != absl::string_view::npos; }

// RFC 2047 §5 (3): the characters that stand for themselves in "Q", in the strictest place, a phrase.
bool IsPlainInQ(char c) { return IsAlnum(c) || IsOneOf(c, "!*+-/"); }

bool IsAtomText(char c) { return IsAlnum(c) || IsOneOf(c, "!#$%&'*+-/=?^_`{|}~"); }

// RFC 2231 §7 attribute-char.
bool IsAttributeChar(char c) { return IsAlnum(c) || IsOneOf(c, "!#$&+-.^_`{|}~"); }

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c <= 126; });
}

// Text that a reader would decode, although its writer meant it as it stands.
bool LooksEncoded(absl::string_view text) {
  const std::size_t start = text.find("=?");
  return start != absl::string_view::npos && text.find("?=", start + 2) != absl::string_view::npos;
}

bool NeedsEncoding(absl::string_view word) {
  return word.size() > kLongestWord || !IsPrintable(word) || LooksEncoded(word);
}

void AppendHex(char prefix, char c, std::string* out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const auto byte = static_cast<unsigned char>(c);
  out->append({prefix, kDigits[byte >> 4], kDigits[byte & 15]});
}

void AppendQ(absl::string_view text, std::string* out) {
  for (const char c : text) {
    if (c == ' ') {
      out->push_back('_');
    } else if (IsPlainInQ(c)) {
      out->push_back(c);
    } else {
      AppendHex('=', c, out);
    }
  }
}

std::size_t QSize(absl::string_view text) {
  std::size_t size = 0;
  for (const char c : text) size += c == ' ' || IsPlainInQ(c) ? 1 : 3;
  return size;
}

std::size_t BSize(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

// The longest start of `text` that is whole characters and takes at most `room` in the encoding; one character at
// least.
std::size_t TakeFitting(absl::string_view text, bool use_q, std::size_t room) {
  std::size_t taken = 0;
  std::size_t q_size = 0;
  while (taken < text.size()) {
    const std::size_t length = Utf8Length(text, taken);
    q_size += QSize(text.substr(taken, length));
    if ((use_q ? q_size : BSize(taken + length)) > room && taken > 0) break;
    taken += length;
  }
  return taken;
}

bool IsAtoms(absl::string_view name) {
  bool after_space = true;
  for (const char c : name) {
    if (c == ' ' ? after_space : !IsAtomText(c)) return false;
    after_space = c == ' ';
  }
  return !name.empty() && !after_space && !LooksEncoded(name);
}

std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  quoted.push_back('"');
  return quoted;
}

}  // namespace

FieldWriter::FieldWriter(absl::string_view name, std::string* out)
    : out_(out), column_(name.size() + 1), limit_(kFoldAt) {
  HIKYAKU_CHECK(IsSafeHeaderName(name));
  absl::StrAppend(out_, name, ":");
}

void FieldWriter::Fold() {
  out_->append("\r\n");
  column_ = 0;
  limit_ = kFoldAt;
}

// A word that is too long for any line is not worth a fold after the name alone.
void FieldWriter::Piece(absl::string_view blanks, absl::string_view word) {
  const std::size_t size = blanks.size() + word.size();
  if (column_ + size > limit_ && (has_words_ || size <= kFoldAt)) Fold();
  absl::StrAppend(out_, blanks, word);
  column_ += size;
  has_words_ = true;
}

void FieldWriter::Word(absl::string_view word) {
  HIKYAKU_CHECK(word.size() <= kLongestWord && IsSafeHeaderValue(word));
  Piece(" ", word);
}

void FieldWriter::Append(char c) {
  out_->push_back(c);
  ++column_;
}

void FieldWriter::End() {
  if (!has_words_) out_->push_back(' ');
  out_->append("\r\n");
}

// Words that need encoding and stand side by side become one run, with the blanks between them inside: blanks between
// two encoded-words are not shown (RFC 2047 §6.2).
void FieldWriter::Text(absl::string_view utf8) {
  HIKYAKU_CHECK(IsSafeHeaderValue(utf8));
  const absl::string_view text = TrimBlanks(utf8);
  std::size_t at = 0;  // Where the blanks before the next word start.
  while (at < text.size()) {
    const std::size_t start = text.find_first_not_of(kBlanks, at);
    std::size_t end = std::min(text.find_first_of(kBlanks, start), text.size());
    absl::string_view blanks = text.substr(at, start - at);
    if (blanks.empty() || blanks.size() > kMostBlanks) blanks = " ";
    if (!NeedsEncoding(text.substr(start, end - start))) {
      Piece(blanks, text.substr(start, end - start));
      at = end;
      continue;
    }
    while (end < text.size()) {
      const std::size_t next = text.find_first_not_of(kBlanks, end);
      const std::size_t next_end = std::min(text.find_first_of(kBlanks, next), text.size());
      if (!NeedsEncoding(text.substr(next, next_end - next))) break;
      end = next_end;
    }
    EncodedWords(blanks, text.substr(start, end - start));
    at = end;
  }
}

void FieldWriter::EncodedWords(absl::string_view blanks, absl::string_view utf8) {
  const bool use_q = QSize(utf8) <= BSize(utf8.size());
  while (!utf8.empty()) {
    if (column_ + blanks.size() + kLeastEncodedWord > kEncodedLine) Fold();
    const std::size_t room = std::min(kEncodedWord, kEncodedLine - column_ - blanks.size()) - kEncodedFrame;
    const absl::string_view taken = utf8.substr(0, TakeFitting(utf8, use_q, room));
    utf8.remove_prefix(taken.size());
    std::string word = use_q ? "=?UTF-8?Q?" : "=?UTF-8?B?";
    if (use_q) {
      AppendQ(taken, &word);
    } else {
      word.append(absl::Base64Escape(taken));
    }
    absl::StrAppend(out_, blanks, word, "?=");
    column_ += blanks.size() + word.size() + 2;
    limit_ = kEncodedLine - 1;
    has_words_ = true;
    blanks = " ";
  }
}

void FieldWriter::Phrase(absl::string_view utf8) {
  HIKYAKU_CHECK(IsSafeHeaderValue(utf8));
  const absl::string_view name = TrimBlanks(utf8);
  if (name.empty()) return;
  if (name.size() <= kLongestQuoted) {
    if (IsAtoms(name)) return Text(name);
    const std::string quoted = Quoted(name);
    if (IsPrintable(name) && !LooksEncoded(name) && quoted.size() <= kLongestQuoted) return Word(quoted);
  }
  EncodedWords(" ", name);
}

void FieldWriter::Parameter(absl::string_view name, absl::string_view utf8) {
  HIKYAKU_CHECK(IsToken(name) && IsSafeHeaderValue(utf8));
  Append(';');
  if (name.size() + utf8.size() <= kLongestQuoted && IsPrintable(utf8)) {
    const std::string plain = IsToken(utf8) ? std::string(utf8) : Quoted(utf8);
    if (name.size() + plain.size() <= kLongestQuoted) return Word(absl::StrCat(name, "=", plain));
  }
  ExtendedParameter(name, utf8);
}

// RFC 2231 §4.1: name*0*=UTF-8''start; name*1*=middle; ... or, when it fits on a line, name*=UTF-8''all.
void FieldWriter::ExtendedParameter(absl::string_view name, absl::string_view utf8) {
  std::vector<std::string> sections(1);
  const std::size_t room = kLongestQuoted - std::min(kLongestQuoted / 2, name.size() + 15);
  for (std::size_t at = 0; at < utf8.size();) {
    std::string character;
    const std::size_t length = Utf8Length(utf8, at);
    for (const char c : utf8.substr(at, length)) {
      if (IsAttributeChar(c)) {
        character.push_back(c);
      } else {
        AppendHex('%', c, &character);
      }
    }
    if (sections.back().size() + character.size() > room) sections.emplace_back();
    sections.back().append(character);
    at += length;
  }
  if (sections.size() == 1) return Word(absl::StrCat(name, "*=UTF-8''", sections[0]));
  for (std::size_t i = 0; i < sections.size(); ++i) {
    if (i > 0) Append(';');
    Word(absl::StrCat(name, "*", i, "*=", i == 0 ? "UTF-8''" : "", sections[i]));
  }
}

std::string FoldUnstructured(absl::string_view name, absl::string_view value) {
  std::string field;
  FieldWriter writer(name, &field);
  writer.Text(value);
  writer.End();
  return field;
}

}  // namespace hikyaku::mime
