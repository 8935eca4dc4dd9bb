// The body in one pass: what need not change is hashed where it stands, in runs as long as they come. Held back are
// only things that the next bytes decide about: line ends (do more lines follow?), blanks (does the line end?), a CR.
#include "lib/dkim/canonical.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace hikyaku::dkim {
namespace {

constexpr absl::string_view kCrlf = "\r\n";

// Written at once when many line ends were held back.
constexpr absl::string_view kManyCrlfs = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// Above the space and the controls: changed by no form, wherever it stands. UTF-8 too.
bool IsPlain(char c) { return static_cast<unsigned char>(c) > ' '; }

// CRLFs vanish (a blank follows each), runs of blanks become one space, none at either end.
void AppendRelaxedValue(absl::string_view value, std::string* out) {
  bool blank = false;
  bool any = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '\r' && i + 1 < value.size() && value[i + 1] == '\n') {
      ++i;
      continue;
    }
    if (IsBlank(c)) {
      blank = true;
      continue;
    }
    if (blank && any) out->push_back(' ');
    blank = false;
    any = true;
    out->push_back(c);
  }
}

}  // namespace

absl::string_view FormName(Form form) { return form == Form::kSimple ? "simple" : "relaxed"; }

void AppendField(Form form, absl::string_view raw, std::string* out) {
  if (absl::EndsWith(raw, kCrlf)) raw.remove_suffix(kCrlf.size());
  if (form == Form::kSimple) {
    out->append(raw.data(), raw.size());
    return;
  }
  const std::size_t colon = std::min(raw.find(':'), raw.size());
  absl::string_view name = raw.substr(0, colon);
  while (!name.empty() && IsBlank(name.back())) name.remove_suffix(1);
  for (const char c : name) out->push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
  out->push_back(':');
  AppendRelaxedValue(raw.substr(std::min(colon + 1, raw.size())), out);
}

void BodyHasher::Update(absl::string_view piece) {
  std::size_t at = 0;
  while (at < piece.size()) {
    const char c = piece[at];
    if (after_cr_) {
      after_cr_ = false;
      if (c == '\n') {
        blank_ = false;
        ++line_ends_;
        ++at;
        continue;
      }
      EmitText("\r");
    }
    if (c == '\r') {
      after_cr_ = true;
      ++at;
    } else if (form_ == Form::kRelaxed && IsBlank(c)) {
      blank_ = true;
      ++at;
    } else {
      const std::size_t run = PlainRun(piece.substr(at));
      EmitText(piece.substr(at, run));
      at += run;
    }
  }
}

// How much of `text`, whose first byte belongs to the form, is the form already. The run goes on over a line end or a
// space where the byte behind it shows that it stays.
std::size_t BodyHasher::PlainRun(absl::string_view text) const {
  const bool relaxed = form_ == Form::kRelaxed;
  std::size_t at = 1;
  while (true) {
    while (at < text.size() && IsPlain(text[at])) ++at;
    if (at >= text.size()) return text.size();
    const char c = text[at];
    if (c == '\r') {
      if (at + 2 >= text.size() || text[at + 1] != '\n' || !IsPlain(text[at + 2])) return at;
      at += 3;
    } else if (relaxed && (c == '\t' || (c == ' ' && (at + 1 >= text.size() || !IsPlain(text[at + 1]))))) {
      return at;
    } else {
      ++at;
    }
  }
}

// Octets that show that what was held back counts.
void BodyHasher::EmitText(absl::string_view text) {
  while (line_ends_ > 0) {
    const std::uint64_t now = std::min<std::uint64_t>(line_ends_, kManyCrlfs.size() / kCrlf.size());
    Emit(kManyCrlfs.substr(0, now * kCrlf.size()));
    line_ends_ -= now;
  }
  if (blank_) Emit(" ");
  blank_ = false;
  Emit(text);
}

void BodyHasher::Emit(absl::string_view bytes) {
  if (octets_ < limit_) hash_.Update(bytes.substr(0, std::min<std::uint64_t>(bytes.size(), limit_ - octets_)));
  octets_ += bytes.size();
}

// §3.4.3: an empty body is one line end in the simple form; §3.4.4: and nothing in the relaxed one.
std::string BodyHasher::Finish() {
  if (after_cr_) EmitText("\r");
  if (octets_ > 0 || form_ == Form::kSimple) Emit(kCrlf);
  return hash_.Finish();
}

}  // namespace hikyaku::dkim
