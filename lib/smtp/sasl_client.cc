#include "lib/smtp/sasl_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/base/status_macros.h"
#include "lib/base/utf8.h"
#include "lib/crypto/digest.h"
#include "lib/crypto/hmac.h"

namespace hikyaku::smtp {
namespace {

constexpr std::size_t kMaxCredential = 1000;
constexpr absl::string_view kGs2Header = "n,,";  // No channel binding, no other identity.

struct Named {
  absl::string_view name;
  SaslMechanism mechanism;
};
constexpr Named kMechanisms[] = {
    {"SCRAM-SHA-256", SaslMechanism::kScramSha256}, {"PLAIN", SaslMechanism::kPlain}, {"LOGIN", SaslMechanism::kLogin}};

absl::Status Broken(absl::string_view what) { return absl::InvalidArgumentError(what); }

std::string Xor(absl::string_view a, absl::string_view b) {
  std::string out(a);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

// The value of `attribute` ("r=") at the front of `message`, which is then left with what follows the comma.
absl::StatusOr<absl::string_view> TakeAttribute(absl::string_view attribute, absl::string_view* message) {
  if (!absl::ConsumePrefix(message, attribute)) {
    return Broken(absl::StrCat("the server's SCRAM message has no ", attribute));
  }
  const std::size_t comma = message->find(',');
  const absl::string_view value = message->substr(0, comma);
  message->remove_prefix(comma == absl::string_view::npos ? message->size() : comma + 1);
  return value;
}

bool IsNonce(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

}  // namespace

absl::string_view SaslName(SaslMechanism mechanism) {
  for (const Named& named : kMechanisms) {
    if (named.mechanism == mechanism) return named.name;
  }
  return "?";
}

std::optional<SaslMechanism> ParseSaslMechanism(absl::string_view name) {
  for (const Named& named : kMechanisms) {
    if (absl::EqualsIgnoreCase(named.name, name)) return named.mechanism;
  }
  return std::nullopt;
}

std::optional<SaslMechanism> ChooseSasl(absl::string_view offered, const std::vector<SaslMechanism>& allowed) {
  std::optional<SaslMechanism> best;
  for (const absl::string_view word : absl::StrSplit(offered, ' ', absl::SkipEmpty())) {
    const auto mechanism = ParseSaslMechanism(word);
    if (!mechanism || (best && *best <= *mechanism)) continue;
    const bool may = allowed.empty() || std::find(allowed.begin(), allowed.end(), *mechanism) != allowed.end();
    if (may) best = mechanism;
  }
  return best;
}

absl::Status CheckCredentials(const Credentials& credentials) {
  for (const auto& [what, text] :
       {std::pair("user", &credentials.user), std::pair("password", &credentials.password)}) {
    if (text->empty()) return Broken(absl::StrCat("the ", what, " is empty"));
    if (text->size() > kMaxCredential) return Broken(absl::StrCat("the ", what, " is longer than ", kMaxCredential));
    if (text->find('\0') != std::string::npos) return Broken(absl::StrCat("the ", what, " holds a NUL"));
    if (!IsValidUtf8(*text)) return Broken(absl::StrCat("the ", what, " is not UTF-8"));
  }
  return absl::OkStatus();
}

SaslClient::SaslClient(SaslMechanism mechanism, Credentials credentials, std::string nonce)
    : mechanism_(mechanism), credentials_(std::move(credentials)), nonce_(std::move(nonce)) {}

std::optional<std::string> SaslClient::Initial() {
  switch (mechanism_) {
    case SaslMechanism::kLogin: return std::nullopt;
    case SaslMechanism::kPlain: {
      step_ = Step::kDone;
      std::string message(1, '\0');
      message += credentials_.user;
      message.push_back('\0');
      return absl::Base64Escape(message + credentials_.password);
    }
    case SaslMechanism::kScramSha256: {
      step_ = Step::kSecond;
      const std::string user = absl::StrReplaceAll(credentials_.user, {{"=", "=3D"}, {",", "=2C"}});
      client_first_bare_ = absl::StrCat("n=", user, ",r=", nonce_);
      return absl::Base64Escape(absl::StrCat(kGs2Header, client_first_bare_));
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::string> SaslClient::Answer(absl::string_view challenge) {
  std::string decoded;
  if (challenge.size() > kMaxChallenge * 4 / 3 + 4) return Broken("the server's challenge is too long");
  // Some servers write words for people behind LOGIN's 334; only SCRAM needs to understand them.
  if (mechanism_ == SaslMechanism::kLogin) return AnswerLogin();
  if (!absl::Base64Unescape(challenge, &decoded)) return Broken("the server's challenge is no base64");
  if (mechanism_ == SaslMechanism::kPlain) return Broken("the server asks again after PLAIN");
  return AnswerScram(decoded);
}

// The name, then the password, whatever the prompts say: servers write "Username:", "User Name" and worse.
absl::StatusOr<std::string> SaslClient::AnswerLogin() {
  switch (step_) {
    case Step::kFirst: step_ = Step::kSecond; return absl::Base64Escape(credentials_.user);
    case Step::kSecond: step_ = Step::kDone; return absl::Base64Escape(credentials_.password);
    default: return Broken("the server asks a third time after LOGIN");
  }
}

absl::StatusOr<std::string> SaslClient::AnswerScram(absl::string_view challenge) {
  switch (step_) {
    case Step::kSecond: return ProveOurselves(challenge);
    case Step::kThird: {
      RETURN_IF_ERROR(CheckProof(challenge));
      step_ = Step::kDone;
      return std::string();
    }
    default: return Broken("the server asks again after SCRAM");
  }
}

// RFC 5802 §3: from r=, s= and i= to our proof; and what the server has to prove.
absl::StatusOr<std::string> SaslClient::ProveOurselves(absl::string_view server_first) {
  absl::string_view rest = server_first;
  ASSIGN_OR_RETURN(const absl::string_view nonce, TakeAttribute("r=", &rest));
  ASSIGN_OR_RETURN(const absl::string_view salt_text, TakeAttribute("s=", &rest));
  ASSIGN_OR_RETURN(const absl::string_view iterations_text, TakeAttribute("i=", &rest));
  if (!absl::StartsWith(nonce, nonce_) || nonce.size() == nonce_.size() || !IsNonce(nonce)) {
    return Broken("the server's SCRAM nonce does not continue ours");
  }
  std::string salt;
  if (!absl::Base64Unescape(salt_text, &salt) || salt.empty()) return Broken("the server's SCRAM salt is no base64");
  std::uint32_t iterations = 0;
  if (!absl::SimpleAtoi(iterations_text, &iterations) || iterations < kMinIterations || iterations > kMaxIterations) {
    return Broken(absl::StrCat("the server's SCRAM iterations are not ", kMinIterations, " to ", kMaxIterations));
  }
  const std::string salted = crypto::Pbkdf2Sha256(credentials_.password, salt, iterations);
  const std::string client_key = crypto::HmacSha256(salted, "Client Key");
  const std::string without_proof = absl::StrCat("c=", absl::Base64Escape(kGs2Header), ",r=", nonce);
  const std::string signed_text = absl::StrCat(client_first_bare_, ",", server_first, ",", without_proof);
  const std::string proof = Xor(client_key, crypto::HmacSha256(crypto::Sha256(client_key), signed_text));
  server_signature_ = crypto::HmacSha256(crypto::HmacSha256(salted, "Server Key"), signed_text);
  step_ = Step::kThird;
  return absl::Base64Escape(absl::StrCat(without_proof, ",p=", absl::Base64Escape(proof)));
}

absl::Status SaslClient::CheckProof(absl::string_view server_final) {
  absl::string_view rest = server_final;
  if (absl::StartsWith(rest, "e=")) return Broken("the server ends SCRAM with an error");
  ASSIGN_OR_RETURN(const absl::string_view text, TakeAttribute("v=", &rest));
  std::string signature;
  if (!absl::Base64Unescape(text, &signature) || !crypto::EqualConstantTime(signature, server_signature_)) {
    return Broken("the server does not know the password: its SCRAM signature is wrong");
  }
  return absl::OkStatus();
}

absl::Status SaslClient::Succeeded() const {
  return step_ == Step::kDone ? absl::OkStatus() : Broken("the server ended the login before its end");
}

}  // namespace hikyaku::smtp
