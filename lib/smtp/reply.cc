#include "lib/smtp/reply.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lib/base/utf8.h"

namespace hikyaku::smtp {
namespace {

// RFC 5321 §4.5.3.1.5: 512 octets with code and CRLF.
constexpr std::size_t kMaxSentLine = 510;

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

std::size_t Digits(absl::string_view text, std::size_t at) {
  std::size_t n = 0;
  while (at + n < text.size() && n < 3 && absl::ascii_isdigit(text[at + n])) ++n;
  return n;
}

// The length of the enhanced code (RFC 3463 §2: class "." 1*3digit "." 1*3digit) that `text` begins with; 0 for none.
std::size_t EnhancedLength(absl::string_view text, int reply_class) {
  if (text.size() < 5 || text[0] != '0' + reply_class || text[1] != '.') return 0;
  const std::size_t subject = Digits(text, 2);
  if (subject == 0 || 2 + subject >= text.size() || text[2 + subject] != '.') return 0;
  const std::size_t detail = Digits(text, 3 + subject);
  const std::size_t length = 3 + subject + detail;
  if (detail == 0 || (length < text.size() && text[length] != ' ')) return 0;
  return length;
}

}  // namespace

std::string Printable(absl::string_view text, std::size_t limit) {
  std::string out;
  out.reserve(std::min(text.size(), limit));
  while (!text.empty()) {
    const absl::string_view before = text;
    const std::optional<char32_t> c = TakeUtf8(text);
    const absl::string_view octets =
        c.has_value() && !IsControl(*c) ? before.substr(0, before.size() - text.size()) : absl::string_view("?");
    if (out.size() + octets.size() > limit) break;
    absl::StrAppend(&out, octets);
  }
  return out;
}

std::string Reply::ToString() const {
  return absl::StrCat(code, enhanced.empty() ? "" : " ", enhanced, text.empty() ? "" : " ",
                      absl::StrReplaceAll(text, {{"\n", " / "}}));
}

void AppendReply(const Reply& reply, std::string* out) {
  absl::string_view rest = reply.text;
  for (bool more = true; more;) {
    const std::size_t end = rest.find('\n');
    more = end != absl::string_view::npos;
    std::string line = absl::StrCat(reply.code, more ? "-" : " ", reply.enhanced, reply.enhanced.empty() ? "" : " ");
    line += Printable(rest.substr(0, end), kMaxSentLine - line.size());
    absl::StrAppend(out, absl::StripTrailingAsciiWhitespace(line), "\r\n");
    if (more) rest.remove_prefix(end + 1);
  }
}

std::string FormatReply(const Reply& reply) {
  std::string out;
  AppendReply(reply, &out);
  return out;
}

ReplyParser::Result ReplyParser::Take(absl::string_view* in) {
  while (!in->empty()) {
    if (fresh_) {
      reply_ = Reply();
      lines_ = total_ = 0;
      fresh_ = false;
    }
    const std::size_t end = in->find('\n');
    const std::size_t taken = end == absl::string_view::npos ? in->size() : end + 1;
    const absl::string_view part = in->substr(0, taken);
    total_ += taken;
    if (total_ > kMaxTotal) return Malformed("reply too long", line_.empty() ? part : line_);
    const absl::string_view kept = part.substr(0, kMaxLine - line_.size());
    line_.append(kept.data(), kept.size());
    in->remove_prefix(taken);
    if (end == absl::string_view::npos) break;

    ++lines_;
    absl::string_view line = absl::StripSuffix(line_, "\n");
    bool last = false;
    if (!TakeLine(absl::StripSuffix(line, "\r"), &last)) return Malformed("not an SMTP reply", line_);
    line_.clear();
    if (last) {
      fresh_ = true;
      return Result::kOk;
    }
  }
  return Result::kNeedMore;
}

// Adds one line to the reply; false when it is none, or its code differs from the first line's (RFC 5321 §4.2.1).
bool ReplyParser::TakeLine(absl::string_view line, bool* last) {
  if (Digits(line, 0) != 3 || line[0] < '2' || line[0] > '5') return false;
  if (line.size() > 3 && line[3] != ' ' && line[3] != '-') return false;
  const int code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
  if (lines_ > 1 && code != reply_.code) return false;
  reply_.code = code;
  *last = line.size() == 3 || line[3] == ' ';
  if (lines_ > kMaxLines || reply_.text.size() + line.size() > kMaxText) return true;

  std::string text = Printable(line.substr(std::min<std::size_t>(line.size(), 4)), kMaxLine);
  const std::size_t enhanced = EnhancedLength(text, code / 100);
  if (lines_ == 1) reply_.enhanced = text.substr(0, enhanced);
  if (enhanced > 0 && text.compare(0, enhanced, reply_.enhanced) == 0) {
    text.erase(0, std::min(enhanced + 1, text.size()));
  }
  absl::StrAppend(&reply_.text, lines_ == 1 ? "" : "\n", text);
  return true;
}

ReplyParser::Result ReplyParser::Malformed(absl::string_view why, absl::string_view line) {
  error_ = absl::StrCat(why, ": \"", Printable(absl::StripTrailingAsciiWhitespace(line.substr(0, 100)), 100), "\"");
  return Result::kMalformed;
}

}  // namespace hikyaku::smtp
