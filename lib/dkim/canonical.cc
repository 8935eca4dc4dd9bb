// The body in one pass: what need not change is hashed where it stands, in runs as long as they come. Held back are
// only things that the next bytes decide about: line ends (do more lines follow?), blanks (does the line end?), a CR.
#include "lib/dkim/canonical.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>

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

// Where in `text`, from `at` on, something stands that the relaxed form may change: a control, or a space before a
// space or a control; or a place before that, from which the caller looks on byte by byte.
std::size_t SkipSingleSpaces(absl::string_view text, std::size_t at) {
#ifdef __SSE2__
  constexpr std::size_t kBlock = sizeof(__m128i);
  const __m128i space = _mm_set1_epi8(' ');
  const auto at_most_space = [space](__m128i bytes) { return _mm_cmpeq_epi8(_mm_min_epu8(bytes, space), bytes); };
  for (; at + kBlock < text.size(); at += kBlock) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
    const __m128i behind = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at + 1));
    const __m128i low = at_most_space(bytes);
    const __m128i controls = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, space), low);
    const int stops = _mm_movemask_epi8(_mm_or_si128(controls, _mm_and_si128(low, at_most_space(behind))));
    if (stops != 0) return at + static_cast<std::size_t>(std::countr_zero(static_cast<unsigned>(stops)));
  }
#endif
  return at;
}

// CRLFs vanish (a blank follows each), runs of blanks become one space, none at either end. Gives the end of what it
// wrote to `out`, which has room for all of `value`.
char* WriteRelaxedValue(absl::string_view value, char* out) {
  const char* const start = out;
  bool blank = false;
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
    if (blank && out != start) *out++ = ' ';
    blank = false;
    *out++ = c;
  }
  return out;
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
  const std::size_t before = out->size();
  out->resize(before + raw.size() + 1);  // At most: a colon may be missing.
  char* end = std::transform(name.begin(), name.end(), out->data() + before,
                             [](char c) { return absl::ascii_tolower(static_cast<unsigned char>(c)); });
  *end++ = ':';
  end = WriteRelaxedValue(raw.substr(std::min(colon + 1, raw.size())), end);
  out->resize(static_cast<std::size_t>(end - out->data()));
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
    at = relaxed ? SkipSingleSpaces(text, at) : std::min(text.find('\r', at), text.size());
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
