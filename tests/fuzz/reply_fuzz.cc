// A whole client session against a peer that says anything, in pieces: it ends or waits, and never runs away.
#include <cstdint>
#include <string>

#include "lib/base/check.h"
#include "lib/smtp/client_session.h"

namespace {

using hikyaku::smtp::ClientSession;

// Follows the session until it wants to read or is at the end of what it has to do.
ClientSession::Want Advance(ClientSession& session, ClientSession::Want want, int* transactions) {
  static const std::string kBody = "Subject: x\r\n\r\n.dot\r\n";
  for (int steps = 0; steps < 1000; ++steps) {
    if (want == ClientSession::Want::kWrite) {
      want = session.OutputWritten();
    } else if (want == ClientSession::Want::kIdle && ++*transactions < 4) {
      want = session.Begin({.sender = "a@x.test", .recipients = {"b@y.test", "c@y.test"}, .head = "", .body = kBody});
    } else {
      return want;
    }
  }
  HIKYAKU_CHECK(false && "the session writes without end");
  return want;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0];
  absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  ClientSession session("client.test");
  int transactions = 0;
  auto want = Advance(session, session.Start(), &transactions);
  while (want == ClientSession::Want::kRead && !rest.empty()) {
    const absl::string_view now = rest.substr(0, piece);
    rest.remove_prefix(now.size());
    want = Advance(session, session.Feed(now), &transactions);
  }
  return 0;
}
