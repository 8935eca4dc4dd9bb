#include "lib/crypto/signing_key.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/crypto/digest.h"

namespace hikyaku::crypto {
namespace {

using testing::HasSubstr;

const SigningKey& Rsa() {
  static const SigningKey* const key = new SigningKey(*SigningKey::GenerateRsa(2048));
  return *key;
}

std::string Why(absl::string_view pem) { return std::string(SigningKey::FromPem(pem).status().message()); }

TEST(SigningKeyGenerate, RsaSignsAndTheSameForTheSameDigest) {
  const std::string digest = Sha256("mail");
  const auto signature = Rsa().Sign(digest);
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(signature->size(), 256u);
  EXPECT_EQ(*signature, *Rsa().Sign(digest));
  const auto key = VerifyingKey::Parse(KeyType::kRsa, Rsa().PublicKey());
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->bits(), 2048);
  EXPECT_TRUE(key->Verify(digest, *signature));
  EXPECT_FALSE(key->Verify(Sha256("other mail"), *signature));
  std::string bent = *signature;
  bent.back() ^= 1;
  EXPECT_FALSE(key->Verify(digest, bent));
  EXPECT_FALSE(key->Verify(digest, ""));
  EXPECT_FALSE(key->Verify("short", *signature));
}

TEST(SigningKeyGenerate, Ed25519SignsThe32BytesOfTheDigest) {
  const SigningKey signer = SigningKey::GenerateEd25519();
  const std::string digest = Sha256("mail");
  const auto signature = signer.Sign(digest);
  ASSERT_TRUE(signature.ok());
  EXPECT_EQ(signature->size(), 64u);
  EXPECT_EQ(signer.PublicKey().size(), 32u);
  const auto key = VerifyingKey::Parse(KeyType::kEd25519, signer.PublicKey());
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_TRUE(key->Verify(digest, *signature));
  EXPECT_FALSE(key->Verify(Sha256("other mail"), *signature));
  EXPECT_FALSE(key->Verify(digest, signature->substr(1)));
}

TEST(SigningKeyGenerate, RefusesSizesThatReceiversDoNotTake) {
  EXPECT_THAT(SigningKey::GenerateRsa(1024).status().message(), HasSubstr("1024 bits: 2048 to 4096"));
  EXPECT_THAT(SigningKey::GenerateRsa(8192).status().message(), HasSubstr("8192 bits"));
}

TEST(SigningKeyPem, WhatIsWrittenReadsBack) {
  const auto rsa = SigningKey::FromPem(Rsa().ToPem());
  ASSERT_TRUE(rsa.ok()) << rsa.status();
  EXPECT_EQ(rsa->type(), KeyType::kRsa);
  EXPECT_EQ(rsa->bits(), 2048);
  EXPECT_EQ(rsa->PublicKey(), Rsa().PublicKey());
  const SigningKey ed25519 = SigningKey::GenerateEd25519();
  const auto again = SigningKey::FromPem(absl::StrCat("a comment before it\n", ed25519.ToPem()));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->type(), KeyType::kEd25519);
  EXPECT_EQ(again->PublicKey(), ed25519.PublicKey());
  EXPECT_EQ(*again->Sign(Sha256("x")), *ed25519.Sign(Sha256("x")));
}

TEST(SigningKeyPem, WhatIsNoKeyIsRefusedWithAReason) {
  const std::string pem = Rsa().ToPem();
  EXPECT_THAT(Why(""), HasSubstr("no private key in PEM"));
  EXPECT_THAT(Why("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), HasSubstr("no private key"));
  EXPECT_THAT(Why(pem.substr(0, pem.size() / 2)), HasSubstr("no private key"));
  EXPECT_THAT(Why(std::string(100000, 'x')), HasSubstr("larger than 64KiB"));
}

// openssl ecparam -name prime256v1 -genkey, in PKCS #8.
TEST(SigningKeyPem, AnotherKindOfKeyIsRefused) {
  EXPECT_THAT(Why("-----BEGIN PRIVATE KEY-----\n"
                  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIgLrVx+za/VPrant\n"
                  "1njfJXC1FpXEGkmteOYD67xivAahRANCAASfc0552BB7y2QAZopx6kEskfYqKAPz\n"
                  "26cHJgTEv6FXTbgJb2+p7wLsGJEiOpCkb46B6WAdz2XM1nynDDPUIOpn\n"
                  "-----END PRIVATE KEY-----\n"),
              HasSubstr("of another kind"));
}

TEST(VerifyingKeyParse, RefusesWhatIsNoKey) {
  EXPECT_FALSE(VerifyingKey::Parse(KeyType::kRsa, "").ok());
  EXPECT_FALSE(VerifyingKey::Parse(KeyType::kRsa, Rsa().PublicKey() + "x").ok());
  EXPECT_THAT(VerifyingKey::Parse(KeyType::kEd25519, std::string(44, 'x')).status().message(), HasSubstr("44 bytes"));
}

// RFC 6376 §3.6.1 names RSAPublicKey; the 24 octets before it make it the SubjectPublicKeyInfo that all publish.
TEST(VerifyingKeyParse, TakesBothFormsOfAnRsaKey) {
  const std::string bare = Rsa().PublicKey().substr(24);
  const auto key = VerifyingKey::Parse(KeyType::kRsa, bare);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_TRUE(key->Verify(Sha256("mail"), *Rsa().Sign(Sha256("mail"))));
}

TEST(Sha256Stream, IsTheSameInPieces) {
  Sha256Stream stream;
  stream.Update("ma");
  stream.Update("");
  stream.Update("il");
  EXPECT_EQ(stream.Finish(), Sha256("mail"));
}

}  // namespace
}  // namespace hikyaku::crypto
