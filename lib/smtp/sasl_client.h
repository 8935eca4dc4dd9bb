// Logins of SMTP AUTH from the client's side, without the SMTP around them.
//
// Source:     RFC 4954 (AUTH), RFC 4616 (PLAIN), draft-murchison-sasl-login (LOGIN), RFC 5802 and RFC 7677
// (SCRAM-SHA-256). Non-goals:  channel binding (SCRAM-SHA-256-PLUS); SASLprep: name and password are sent as they are,
// which is the same for
//             ASCII. Judging a refused login (lib/delivery/verdict).
// Threading:  one owner, the session. Pure: the nonce comes from the caller.
//
// SCRAM never shows the password and makes the server prove that it knows it; PLAIN and LOGIN hand it over, so the
// caller starts them only where it trusts the connection.
#ifndef HIKYAKU_LIB_SMTP_SASL_CLIENT_H_
#define HIKYAKU_LIB_SMTP_SASL_CLIENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace hikyaku::smtp {

// The stronger first.
enum class SaslMechanism { kScramSha256, kPlain, kLogin };

// As EHLO lists it: "SCRAM-SHA-256".
absl::string_view SaslName(SaslMechanism mechanism);
// By that name, in any case; nothing: not one of ours.
std::optional<SaslMechanism> ParseSaslMechanism(absl::string_view name);

// The strongest that is in both; nothing: none is. `offered` is what follows AUTH in the answer to EHLO; empty
// `allowed`: all.
std::optional<SaslMechanism> ChooseSasl(absl::string_view offered, const std::vector<SaslMechanism>& allowed);

struct Credentials {
  std::string user;
  std::string password;
};

// Neither may hold NUL, and each is 1 to 1,000 octets of UTF-8. Else kInvalidArgument, which does not repeat them.
absl::Status CheckCredentials(const Credentials& credentials);

class SaslClient {
 public:
  // RFC 7677 §4 asks servers for the least; more than the most would let a server stop our thread. 100,000 cost 30 ms.
  static constexpr std::uint32_t kMinIterations = 4096;
  static constexpr std::uint32_t kMaxIterations = 100'000;
  static constexpr std::size_t kMaxChallenge = 4096;  // Decoded octets.

  // `credentials` passed CheckCredentials. `nonce`: printable ASCII without a comma that nobody can guess, 18 octets or
  // more; for SCRAM.
  SaslClient(SaslMechanism mechanism, Credentials credentials, std::string nonce);

  SaslMechanism mechanism() const { return mechanism_; }

  // What goes with AUTH, in base64; nothing where the server speaks first.
  std::optional<std::string> Initial();

  // The answer, in base64, to a challenge as it stands behind 334. kInvalidArgument: the server broke the rules or
  // failed to prove itself; send "*", and do not trust it.
  absl::StatusOr<std::string> Answer(absl::string_view challenge);

  // The server said 235. kInvalidArgument: without having proven what it must: leave.
  absl::Status Succeeded() const;

 private:
  enum class Step { kFirst, kSecond, kThird, kDone };

  absl::StatusOr<std::string> AnswerLogin();
  absl::StatusOr<std::string> AnswerScram(absl::string_view challenge);
  absl::StatusOr<std::string> ProveOurselves(absl::string_view server_first);
  absl::Status CheckProof(absl::string_view server_final);

  const SaslMechanism mechanism_;
  const Credentials credentials_;
  const std::string nonce_;
  Step step_ = Step::kFirst;
  std::string client_first_bare_;
  std::string server_signature_;
};

}  // namespace hikyaku::smtp

#endif  // HIKYAKU_LIB_SMTP_SASL_CLIENT_H_
