// Replies from a peer: the same in whatever pieces they come, bounded, safe to log, and the same again when written and
// read once more.
#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/utf8.h"
#include "lib/outcome/enhanced_code.h"
#include "lib/smtp/reply.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::smtp::FormatReply;
using hikyaku::smtp::Reply;
using hikyaku::smtp::ReplyParser;

bool IsSafeText(absl::string_view text) {
  for (const char c : text) {
    if (c != '\n' && hikyaku::fuzz::IsControl(c)) return false;
  }
  return hikyaku::IsValidUtf8(text);
}

struct Read {
  std::vector<Reply> replies;
  std::string error;
};

Read ReadAll(absl::string_view bytes, std::size_t piece) {
  Read read;
  ReplyParser parser;
  while (!bytes.empty()) {
    absl::string_view now = bytes.substr(0, piece);
    bytes.remove_prefix(now.size());
    while (!now.empty()) {
      const auto result = parser.Take(&now);
      if (result == ReplyParser::Result::kMalformed) {
        read.error = parser.error();
        HIKYAKU_CHECK(!read.error.empty() && IsSafeText(read.error) && read.error.find('\n') == std::string::npos);
        return read;
      }
      if (result == ReplyParser::Result::kNeedMore) {
        HIKYAKU_CHECK(now.empty() && parser.InsideReply());
        break;
      }
      HIKYAKU_CHECK(!parser.InsideReply());
      read.replies.push_back(parser.reply());
    }
  }
  return read;
}

void CheckReply(const Reply& reply) {
  HIKYAKU_CHECK(reply.code >= 200 && reply.code <= 599);
  // A control octet becomes a '?', and no text grows by that; an invalid octet too.
  HIKYAKU_CHECK(reply.text.size() <= ReplyParser::kMaxTotal);
  HIKYAKU_CHECK(IsSafeText(reply.text) && IsSafeText(reply.enhanced));
  HIKYAKU_CHECK(reply.ToString().find('\n') == std::string::npos);
  HIKYAKU_CHECK(reply.enhanced.empty() || reply.enhanced[0] == '0' + reply.code / 100);
  const std::string wire = FormatReply(reply);
  HIKYAKU_CHECK(hikyaku::fuzz::IsRowOfReplies(wire));
  // What is written reads back as one reply with the same meaning; its text may have been cut to 512 octets a line.
  const Read again = ReadAll(wire, wire.size());
  HIKYAKU_CHECK(again.error.empty() && again.replies.size() == 1);
  HIKYAKU_CHECK(again.replies[0].code == reply.code && again.replies[0].enhanced == reply.enhanced);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  const std::size_t piece = 1 + input.Byte();
  const Read pieces = ReadAll(input.rest(), piece);
  const Read whole = ReadAll(input.rest(), input.rest().size());
  HIKYAKU_CHECK(pieces.replies == whole.replies && pieces.error.empty() == whole.error.empty());
  for (const Reply& reply : whole.replies) CheckReply(reply);
  absl::string_view text = input.rest();
  if (const auto code = hikyaku::outcome::TakeEnhancedCode(text, 550)) {
    HIKYAKU_CHECK(hikyaku::outcome::ParseEnhancedCode(code->ToString()) == *code && code->cls == 5);
  }
  return 0;
}
