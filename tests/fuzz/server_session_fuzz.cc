// A whole server session: whatever a client sends, in whatever pieces, no message holds a bare CR or LF, nobody relays
// who may not, and the same bytes in other pieces give the same answers.
#include <cstdint>
#include <string>

#include "lib/base/check.h"
#include "lib/smtp/server_session.h"

namespace {

using hikyaku::smtp::ServerOptions;
using hikyaku::smtp::ServerPolicy;
using hikyaku::smtp::ServerSession;

bool HasBareLineEnd(absl::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return true;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return true;
  }
  return false;
}

std::string Run(absl::string_view input, std::size_t piece, bool may_relay) {
  ServerPolicy policy;
  ServerOptions options;
  options.hostname = "mx.test";
  options.max_size = 4096;
  options.may_relay = may_relay;
  ServerSession session(options, &policy);
  auto want = session.Start();
  std::string output = session.TakeOutput();
  while (want != ServerSession::Want::kClose && !(want == ServerSession::Want::kRead && input.empty())) {
    if (want == ServerSession::Want::kDeliver) {
      HIKYAKU_CHECK(may_relay);
      HIKYAKU_CHECK(!HasBareLineEnd(session.transaction().data));
      HIKYAKU_CHECK(session.transaction().data.size() <= options.max_size);
      want = session.Answer({250, "2.0.0", "OK"});
    } else {
      const absl::string_view now = input.substr(0, piece);
      input.remove_prefix(now.size());
      want = session.Feed(now);
    }
    output += session.TakeOutput();
  }
  return output;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const absl::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  const bool may_relay = data[0] & 1;
  HIKYAKU_CHECK(Run(input, 1 + data[1], may_relay) == Run(input, input.size() + 1, may_relay));
  return 0;
}
