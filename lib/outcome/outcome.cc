#include "lib/outcome/outcome.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/utf8.h"

namespace hikyaku::outcome {
namespace {

constexpr std::size_t kMaxHostOctets = 320;  // A name of 253 octets, an IPv6 address in brackets and a port.

int ClassDigit(Kind kind) {
  switch (kind) {
    case Kind::kDelivered: return 2;
    case Kind::kTransient: return 4;
    case Kind::kPermanent: return 5;
  }
  return 4;
}

// What a space stands for in CleanText: controls (C0, DEL, C1) and the separators of lines and paragraphs.
bool IsGap(char32_t c) { return c <= 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029; }

std::string Clean(absl::string_view text, std::size_t limit) {
  std::string out;
  bool gap = false;
  while (!text.empty()) {
    const absl::string_view before = text;
    const std::optional<char32_t> c = TakeUtf8(text);
    if (c && IsGap(*c)) {
      gap = true;
      continue;
    }
    const absl::string_view piece = c ? before.substr(0, before.size() - text.size()) : absl::string_view("?");
    const absl::string_view space = gap && !out.empty() ? " " : "";
    if (out.size() + space.size() + piece.size() > limit) break;
    absl::StrAppend(&out, space, piece);
    gap = false;
  }
  return out;
}

// Every line of a reply may begin with the code (RFC 2034 §4): takes it from each, returns the first.
std::optional<EnhancedCode> TakeFromLines(std::string& text, int smtp_code) {
  std::optional<EnhancedCode> first;
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  for (absl::string_view& line : lines) {
    const std::optional<EnhancedCode> code = TakeEnhancedCode(line, smtp_code);
    if (!first) first = code;
  }
  if (first) text = absl::StrJoin(lines, "\n");
  return first;
}

Outcome Make(Kind kind, Scope scope, int smtp_code, EnhancedCode enhanced, absl::string_view text,
             absl::string_view remote_host) {
  Outcome outcome;
  outcome.kind = kind;
  outcome.scope = scope;
  outcome.smtp_code = smtp_code;
  outcome.enhanced = enhanced;
  outcome.enhanced.cls = ClassDigit(kind);
  outcome.text = CleanText(text);
  if (outcome.text.empty()) {
    outcome.text =
        smtp_code == 0 ? std::string("no reason was given") : absl::StrCat("(reply ", smtp_code, " without text)");
  }
  outcome.remote_host = Clean(remote_host, kMaxHostOctets);
  outcome.cls = Classify(smtp_code, outcome.enhanced, outcome.text);
  return outcome;
}

}  // namespace

absl::string_view KindName(Kind kind) {
  switch (kind) {
    case Kind::kDelivered: return "delivered";
    case Kind::kTransient: return "transient";
    case Kind::kPermanent: return "permanent";
  }
  return "unknown";
}

absl::string_view ScopeName(Scope scope) {
  switch (scope) {
    case Scope::kRecipient: return "recipient";
    case Scope::kMessage: return "message";
    case Scope::kHost: return "host";
    case Scope::kDomain: return "domain";
    case Scope::kSession: return "session";
  }
  return "unknown";
}

Outcome Outcome::As(Kind other) const {
  Outcome changed = *this;
  changed.kind = other;
  changed.enhanced.cls = ClassDigit(other);
  changed.cls = Classify(changed.smtp_code, changed.enhanced, changed.text);
  return changed;
}

std::string Outcome::ToString() const {
  return absl::StrCat(smtp_code == 0 ? std::string() : absl::StrCat(smtp_code, " "), enhanced.ToString(), " ", text,
                      remote_host.empty() ? std::string() : absl::StrCat(" (", remote_host, ")"));
}

Outcome FromReply(Scope scope, int smtp_code, absl::string_view enhanced, absl::string_view text,
                  absl::string_view remote_host) {
  const int digit = smtp_code / 100;
  if (digit != 2 && digit != 4 && digit != 5) {
    return Make(Kind::kTransient, scope, smtp_code, {4, 5, 0}, text, remote_host);
  }
  const Kind kind = digit == 2 ? Kind::kDelivered : digit == 4 ? Kind::kTransient : Kind::kPermanent;
  std::string words(text);
  std::optional<EnhancedCode> code = enhanced.empty() ? TakeFromLines(words, smtp_code) : ParseEnhancedCode(enhanced);
  if (!code || code->cls != digit) code = EnhancedCode{digit, 0, 0};
  return Make(kind, scope, smtp_code, *code, words, remote_host);
}

Outcome FromUs(Kind kind, Scope scope, EnhancedCode enhanced, absl::string_view text, absl::string_view remote_host) {
  return Make(kind, scope, 0, enhanced, text, remote_host);
}

Outcome Ambiguous(absl::string_view text, absl::string_view remote_host) {
  Outcome outcome = Make(Kind::kTransient, Scope::kMessage, 0, {4, 4, 2}, text, remote_host);
  outcome.ambiguous = true;
  return outcome;
}

std::string CleanText(absl::string_view text) { return Clean(text, kMaxTextOctets); }

}  // namespace hikyaku::outcome
