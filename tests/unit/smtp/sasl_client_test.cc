#include "lib/smtp/sasl_client.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/crypto/hmac.h"

namespace hikyaku::smtp {
namespace {

using enum SaslMechanism;

std::string Decoded(absl::string_view base64) {
  std::string text;
  EXPECT_TRUE(absl::Base64Unescape(base64, &text)) << base64;
  return text;
}

std::string Hex(absl::string_view bytes) { return absl::BytesToHexString(bytes); }

// RFC 4231 §4.2 and §4.7; the PBKDF2 vectors are those of RFC 7914 §11, cut at 32 octets.
TEST(Hmac, Vectors) {
  EXPECT_EQ(Hex(crypto::HmacSha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(Hex(crypto::HmacSha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(Hex(crypto::Pbkdf2Sha256("passwd", "salt", 1)),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
  EXPECT_EQ(Hex(crypto::Pbkdf2Sha256("Password", "NaCl", 80000)),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

TEST(Sasl, ChoosesTheStrongestOfBoth) {
  EXPECT_EQ(ChooseSasl("LOGIN PLAIN SCRAM-SHA-256", {}), kScramSha256);
  EXPECT_EQ(ChooseSasl("LOGIN PLAIN", {}), kPlain);
  EXPECT_EQ(ChooseSasl("cram-md5 login", {}), kLogin);
  EXPECT_EQ(ChooseSasl("SCRAM-SHA-256 PLAIN", {kPlain, kLogin}), kPlain);
  EXPECT_EQ(ChooseSasl("SCRAM-SHA-256-PLUS CRAM-MD5 XOAUTH2", {}), std::nullopt);
  EXPECT_EQ(ChooseSasl("", {}), std::nullopt);
}

// RFC 4616 §4: tim, tanstaaftanstaaf, no authorisation identity.
TEST(Sasl, Plain) {
  SaslClient client(kPlain, {"tim", "tanstaaftanstaaf"}, "");
  EXPECT_EQ(Decoded(*client.Initial()), absl::string_view("\0tim\0tanstaaftanstaaf", 21));
  EXPECT_TRUE(client.Succeeded().ok());
  EXPECT_FALSE(client.Answer("").ok());
}

TEST(Sasl, LoginWhateverThePromptsSay) {
  for (const char* prompt : {"VXNlcm5hbWU6", "User Name\xff", ""}) {
    SaslClient client(kLogin, {"tim", "secret"}, "");
    EXPECT_EQ(client.Initial(), std::nullopt);
    EXPECT_EQ(Decoded(*client.Answer(prompt)), "tim");
    EXPECT_FALSE(client.Succeeded().ok());
    EXPECT_EQ(Decoded(*client.Answer(prompt)), "secret");
    EXPECT_TRUE(client.Succeeded().ok());
    EXPECT_FALSE(client.Answer(prompt).ok());
  }
}

// RFC 7677 §3.
constexpr char kNonce[] = "rOprNGfwEbeRWgbNEkqO";
constexpr char kServerFirst[] =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr char kClientFinal[] =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr char kServerFinal[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

class Scram : public testing::Test {
 protected:
  absl::StatusOr<std::string> Say(absl::string_view challenge) { return client_.Answer(absl::Base64Escape(challenge)); }

  SaslClient client_{kScramSha256, {"user", "pencil"}, kNonce};
};

TEST_F(Scram, VectorOfTheRfc) {
  EXPECT_EQ(Decoded(*client_.Initial()), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  EXPECT_EQ(Decoded(*Say(kServerFirst)), kClientFinal);
  EXPECT_FALSE(client_.Succeeded().ok()) << "the server has not proven itself";
  EXPECT_EQ(*Say(kServerFinal), "");
  EXPECT_TRUE(client_.Succeeded().ok());
}

TEST_F(Scram, ServerThatDoesNotKnowThePassword) {
  client_.Initial();
  ASSERT_TRUE(Say(kServerFirst).ok());
  const auto answer = Say("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.status().message().find("does not know the password"), std::string::npos);
  EXPECT_FALSE(client_.Succeeded().ok());
}

TEST_F(Scram, NameWithACommaAndAnEqualsSign) {
  SaslClient client(kScramSha256, {"a,b=c", "x"}, kNonce);
  EXPECT_EQ(Decoded(*client.Initial()), "n,,n=a=2Cb=3Dc,r=rOprNGfwEbeRWgbNEkqO");
}

// What a server may not say after our first message.
class ScramRefuses : public testing::TestWithParam<const char*> {};

TEST_P(ScramRefuses, ServerFirst) {
  SaslClient client(kScramSha256, {"user", "pencil"}, kNonce);
  client.Initial();
  EXPECT_FALSE(client.Answer(absl::Base64Escape(GetParam())).ok());
  EXPECT_FALSE(client.Succeeded().ok());
}

INSTANTIATE_TEST_SUITE_P(
    , ScramRefuses,
    testing::Values("", "e=invalid-proof", "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                    "r=other%hvYD,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                    "m=ext,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                    "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096",
                    "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4095",
                    "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=100001", "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=99999999999",
                    "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=-1"));

TEST_F(Scram, ChallengesThatAreNoBase64OrTooLong) {
  client_.Initial();
  EXPECT_FALSE(client_.Answer("not base64!").ok());
  EXPECT_FALSE(client_.Answer(std::string(SaslClient::kMaxChallenge * 2, 'A')).ok());
}

TEST(Credentials, WhatTheyMayBe) {
  EXPECT_TRUE(CheckCredentials({"a", "b"}).ok());
  EXPECT_FALSE(CheckCredentials({"", "b"}).ok());
  EXPECT_FALSE(CheckCredentials({"a", ""}).ok());
  EXPECT_FALSE(CheckCredentials({"a", std::string("b\0c", 3)}).ok());
  EXPECT_FALSE(CheckCredentials({"a", std::string(1001, 'x')}).ok());
  const absl::Status status = CheckCredentials({"a", "s\xff\xff"});
  EXPECT_EQ(status.message(), "the password is not UTF-8") << "and is not repeated";
}

}  // namespace
}  // namespace hikyaku::smtp
