// What a server says to a login: whatever comes, the client answers in one line of base64 or breaks off, believes no
// server that has not proven itself, and never shows its password where it need not.
#include <cstdint>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "lib/base/check.h"
#include "lib/smtp/client_session.h"
#include "lib/smtp/sasl_client.h"
#include "tests/fuzz/input.h"

namespace {

using namespace hikyaku::smtp;  // NOLINT

constexpr char kPassword[] = "correct horse battery";

// The mechanism alone, with challenges as the fuzzer wants them: encoded, or as they are.
void Bare(hikyaku::fuzz::Input input) {
  const auto mechanism = static_cast<SaslMechanism>(input.Byte() % 3);
  SaslClient client(mechanism, {"user", kPassword}, "rOprNGfwEbeRWgbNEkqO");
  client.Initial();
  for (int turn = 0; turn < 4 && !input.empty(); ++turn) {
    const bool encode = input.Flag();
    const std::string challenge = input.Text(8000);
    const auto answer = client.Answer(encode ? absl::Base64Escape(challenge) : challenge);
    if (!answer.ok()) {
      HIKYAKU_CHECK(!absl::StrContains(answer.status().message(), kPassword));
      return;
    }
    std::string decoded;
    HIKYAKU_CHECK(absl::Base64Unescape(*answer, &decoded));
    HIKYAKU_CHECK(mechanism != SaslMechanism::kScramSha256 || !absl::StrContains(decoded, kPassword));
  }
  // Nobody can prove by chance that he knows the password.
  if (mechanism == SaslMechanism::kScramSha256) HIKYAKU_CHECK(!client.Succeeded().ok());
}

// The same within the session, which must stay in step with whatever the server says.
void InSession(hikyaku::fuzz::Input input) {
  const auto mechanism = static_cast<SaslMechanism>(input.Byte() % 3);
  SaslClient sasl(mechanism, {"user", kPassword}, "rOprNGfwEbeRWgbNEkqO");
  ClientSession session("us.test");
  auto want = session.Start();
  const auto write = [&] {
    for (int i = 0; i < 10 && want == ClientSession::Want::kWrite; ++i) want = session.OutputWritten();
  };
  want = session.Feed("220 mx\r\n");
  write();
  want = session.Feed("250-mx\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256\r\n");
  HIKYAKU_CHECK(want == ClientSession::Want::kIdle);
  want = session.Authenticate(&sasl);
  write();
  for (int turn = 0; turn < 20 && want == ClientSession::Want::kRead && !input.empty(); ++turn) {
    const std::string reply = input.Text(3000);
    want = session.Feed(reply);
    write();
  }
  if (mechanism == SaslMechanism::kScramSha256) HIKYAKU_CHECK(want != ClientSession::Want::kIdle);
  if (want == ClientSession::Want::kClose) HIKYAKU_CHECK(session.refusal().has_value() || !session.broke().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hikyaku::fuzz::Input input(data, size);
  if (input.Flag()) {
    Bare(input);
  } else {
    InSession(input);
  }
  return 0;
}
