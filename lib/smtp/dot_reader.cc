#include "lib/smtp/dot_reader.h"

#include <cstring>

#include "absl/strings/string_view.h"

namespace hikyaku::smtp {
namespace {

constexpr char kLoneCr[] = "\r";

const char* Find(const char* begin, const char* end, char c) {
  return begin == end ? nullptr : static_cast<const char*>(std::memchr(begin, c, end - begin));
}

}  // namespace

// The automaton of the data: a character is looked at alone only at the start of a line, behind a dot there, and
// behind a CR. Text() runs over everything else. Octets up to `kept` are in data_; what is between `kept` and `p` is
// content that goes there in one piece when a stuffed dot, or the end of the input, breaks the run.
bool DotReader::Feed(absl::string_view* in) {
  const char* const end = in->data() + in->size();
  const char* p = in->data();
  const char* kept = p;
  while (p != end) {
    switch (at_) {
      case At::kLineStart:
        if (*p != '.') {
          at_ = At::kText;
          break;
        }
        Append(kept, p);  // The dot is dropped: the end, or stuffing.
        kept = ++p;
        at_ = At::kDot;
        break;
      case At::kDot:
        if (*p != '\r') {
          at_ = At::kText;
          break;
        }
        kept = ++p;  // This CR is content only if no LF follows.
        at_ = At::kDotCr;
        break;
      case At::kDotCr:
        if (*p == '\n') {
          in->remove_prefix(p + 1 - in->data());
          return true;
        }
        Append(kLoneCr, kLoneCr + 1);
        bare_cr_ = true;
        at_ = At::kText;
        break;
      case At::kCr:
        if (*p == '\n') {
          ++p;
          at_ = At::kLineStart;
        } else {
          bare_cr_ = true;
          at_ = At::kText;
        }
        break;
      case At::kText: p = Text(p, end); break;
    }
  }
  Append(kept, end);
  in->remove_prefix(in->size());
  return false;
}

// Runs over text up to the end of the line or of the input. Looks for the LF once for all CRs before it, so that a line
// of CRs costs no more than another.
const char* DotReader::Text(const char* p, const char* end) {
  const char* const lf = Find(p, end, '\n');
  const char* const line_end = lf == nullptr ? end : lf;
  while (const char* cr = Find(p, line_end, '\r')) {
    p = cr + 1;
    if (p == line_end) {
      at_ = At::kCr;
      return p;
    }
    bare_cr_ = true;
  }
  if (lf == nullptr) return end;
  bare_lf_ = true;
  return lf + 1;
}

void DotReader::Append(const char* begin, const char* end) {
  if (too_large_) return;
  const std::size_t size = end - begin;
  if (size > max_size_ - data_.size()) {
    too_large_ = true;
    data_ = std::string();
    return;
  }
  nul_ = nul_ || Find(begin, end, '\0') != nullptr;
  data_.append(begin, size);
}

LineFaults FindLineFaults(absl::string_view data) {
  LineFaults faults;
  const char* const end = data.data() + data.size();
  faults.nul = Find(data.data(), end, '\0') != nullptr;
  for (const char* p = data.data(); p != end;) {
    const char* const lf = Find(p, end, '\n');
    const char* const line_end = lf == nullptr ? end : lf;
    const char* const cr = Find(p, line_end, '\r');
    if (lf != nullptr && cr == nullptr) faults.bare_lf = true;
    if (cr != nullptr && (lf == nullptr || cr + 1 != lf)) {
      faults.bare_cr = true;
      if (lf != nullptr && lf[-1] != '\r') faults.bare_lf = true;
    }
    p = lf == nullptr ? end : lf + 1;
  }
  return faults;
}

}  // namespace hikyaku::smtp
