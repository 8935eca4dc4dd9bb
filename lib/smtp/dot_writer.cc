#include "lib/smtp/dot_writer.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace hikyaku::smtp {
namespace {

bool EndsInCrlf(absl::string_view head, absl::string_view body) {
  if (body.size() >= 2 || head.empty()) return absl::EndsWith(body, "\r\n");
  return body.empty() ? absl::EndsWith(head, "\r\n") : body == "\n" && absl::EndsWith(head, "\r");
}

}  // namespace

DotWriter::DotWriter(absl::string_view head, absl::string_view body, Mode mode)
    : parts_({head, body}), mode_(mode), needs_crlf_(!(head.empty() && body.empty()) && !EndsInCrlf(head, body)) {}

void DotWriter::HoldEnd() {
  end_held_ = true;
  if (needs_crlf_ || raw_size() == 0) return;
  needs_crlf_ = true;
  const std::size_t of_body = std::min<std::size_t>(2, parts_[1].size());
  parts_[1].remove_suffix(of_body);
  parts_[0].remove_suffix(2 - of_body);
}

bool DotWriter::Next(std::size_t limit, std::vector<absl::string_view>* pieces) {
  // Two pieces may follow the last of the loop, and one turn adds two.
  const std::size_t before = pieces->size();
  const std::size_t max_pieces = before + kMaxPieces - 4;
  for (absl::string_view& part : parts_) {
    while (!part.empty()) {
      if (limit == 0 || pieces->size() > max_pieces) return false;
      absl::string_view run = part.substr(0, limit);
      if (mode_ == Mode::kDots) {
        if (line_start_ && run.front() == '.') pieces->push_back(".");
        run = run.substr(0, ToStuffedDot(run));
      }
      pieces->push_back(run);
      part.remove_prefix(run.size());
      limit -= run.size();
    }
  }
  if (end_held_ && pieces->size() > before) return false;
  if (needs_crlf_) pieces->push_back("\r\n");
  if (mode_ == Mode::kDots) pieces->push_back(".\r\n");
  return true;
}

// How much of `text` goes out before a dot at the start of a line, other than its own first character. Remembers in
// what position the text behind it begins.
std::size_t DotWriter::ToStuffedDot(absl::string_view text) {
  bool after_cr = after_cr_;
  for (std::size_t at = 0; at < text.size();) {
    const void* found = std::memchr(text.data() + at, '\n', text.size() - at);
    if (found == nullptr) break;
    const std::size_t lf = static_cast<const char*>(found) - text.data();
    line_start_ = lf == 0 ? after_cr : text[lf - 1] == '\r';
    at = lf + 1;
    if (line_start_ && (at == text.size() || text[at] == '.')) {
      after_cr_ = false;
      return at;
    }
  }
  line_start_ = false;
  after_cr_ = text.back() == '\r';
  return text.size();
}

}  // namespace hikyaku::smtp
