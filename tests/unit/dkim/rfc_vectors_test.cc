// BATTERY K01 and K02: what the RFCs print.
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/dkim/header_digest.h"
#include "lib/dkim/key_record.h"
#include "lib/dkim/signature.h"
#include "lib/dkim/verifier.h"
#include "lib/mime/header.h"
#include "tests/unit/dkim/vectors.h"

namespace hikyaku::dkim {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kThen = 1528637909;

KeyAnswer Records(const std::string& name) {
  const std::vector<std::pair<std::string, std::string>> zone = {
      {"brisbane._domainkey.football.example.com", vectors::kEd25519Record},
      {"test._domainkey.football.example.com", vectors::kRsa1024Record},
      {"brisbane._domainkey.example.com", vectors::kRfc6376Record},
  };
  for (const auto& [owner, record] : zone) {
    if (owner == name) return std::vector<std::string>{record};
  }
  return absl::NotFoundError("NXDOMAIN");
}

// A template's b=, for its own key.
std::string DigestOf(const std::string& field) {
  const auto header = mime::HeaderFields::Parse(vectors::kMessage);
  const auto signature = ParseSignature(absl::StrCat(field.substr(field.find(':') + 1), "AAAA"));
  EXPECT_TRUE(signature.ok()) << signature.status();
  return HeaderDigest(*header, {signature->signed_names.begin(), signature->signed_names.end()}, signature->header_form,
                      field);
}

std::string Bare(absl::string_view folded) { return absl::StrReplaceAll(folded, {{"\r\n", ""}, {" ", ""}}); }

TEST(Rfc8463AppendixA, Ed25519SignsByteForByte) {
  const auto key = crypto::SigningKey::FromPem(vectors::kEd25519Pem);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(FormatKeyRecord(*key), vectors::kEd25519Record);
  const auto signature = key->Sign(DigestOf(vectors::kEd25519Template));
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(absl::Base64Escape(*signature), Bare(vectors::kEd25519Bytes));
}

// A key of 1024 bits is refused to sign (RFC 8301), so that its signature is checked here: PKCS #1 v1.5 has one
// signature for a digest, and a check that passes proves it byte for byte.
TEST(Rfc8463AppendixA, RsaIsTheOneSignatureOfTheDigest) {
  const auto record = ParseKeyRecord(vectors::kRsa1024Record);
  ASSERT_TRUE(record.ok()) << record.status();
  const auto key = crypto::VerifyingKey::Parse(record->type, record->key);
  ASSERT_TRUE(key.ok()) << key.status();
  std::string bytes;
  ASSERT_TRUE(absl::Base64Unescape(Bare(vectors::kRsaBytes), &bytes));
  EXPECT_TRUE(key->Verify(DigestOf(vectors::kRsaTemplate), bytes));
}

TEST(Rfc8463AppendixA, AWeakKeyCannotSign) {
  EXPECT_THAT(crypto::SigningKey::FromPem(vectors::kRsa1024Pem).status().message(), HasSubstr("1024 bits"));
}

TEST(Rfc8463AppendixA, BothSignaturesPass) {
  const std::string message = absl::StrCat(vectors::kEd25519Template, vectors::kEd25519Bytes, "\r\n",
                                           vectors::kRsaTemplate, vectors::kRsaBytes, "\r\n", vectors::kMessage);
  const auto verdicts = Verify(message, kThen, Records);
  ASSERT_TRUE(verdicts.ok()) << verdicts.status();
  ASSERT_EQ(verdicts->size(), 2u);
  EXPECT_EQ((*verdicts)[0].ToString(), "pass: d=football.example.com s=brisbane a=ed25519-sha256 (256 bits)");
  EXPECT_EQ((*verdicts)[1].ToString(), "pass: d=football.example.com s=test a=rsa-sha256 (1024 bits)");
}

TEST(Rfc6376AppendixA, TheSignedMailPasses) {
  const std::string message = absl::StrCat(vectors::kRfc6376Fields, vectors::kMessage);
  const auto verdicts = Verify(message, kThen, Records);
  ASSERT_TRUE(verdicts.ok()) << verdicts.status();
  ASSERT_EQ(verdicts->size(), 1u);
  EXPECT_EQ((*verdicts)[0].ToString(), "pass: d=example.com s=brisbane a=rsa-sha256 (1024 bits)");
}

// The simple form: one blank more in a signed field is another field.
TEST(Rfc6376AppendixA, ABlankMoreFails) {
  const std::string message = absl::StrReplaceAll(absl::StrCat(vectors::kRfc6376Fields, vectors::kMessage),
                                                  {{"Is dinner ready?", "Is dinner  ready?"}});
  const auto verdicts = Verify(message, kThen, Records);
  ASSERT_TRUE(verdicts.ok() && verdicts->size() == 1);
  EXPECT_EQ((*verdicts)[0].result, Result::kFail);
  EXPECT_THAT((*verdicts)[0].reason, HasSubstr("header field was changed"));
}

}  // namespace
}  // namespace hikyaku::dkim
