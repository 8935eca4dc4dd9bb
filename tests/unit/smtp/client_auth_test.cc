// AUTH in the client's session. The mechanisms have tests of their own.
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/unit/smtp/client_dialogue.h"

namespace hikyaku::smtp {
namespace {

using enum SaslMechanism;

constexpr char kOffer[] = "250-mx\r\n250-AUTH PLAIN LOGIN\r\n250-AUTH=LOGIN CRAM-MD5\r\n250 PIPELINING\r\n";

std::string Base64(absl::string_view text) { return absl::Base64Escape(text); }

class ClientAuth : public testing::Test {
 protected:
  ClientAuth() { client_.Open(kOffer); }

  std::string Begin(SaslClient& sasl) { return client_.Run(client_.session().Authenticate(&sasl)); }

  ClientDialogue client_;
  SaslClient plain_{kPlain, {"tim", "secret"}, ""};
  SaslClient login_{kLogin, {"tim", "secret"}, ""};
};

TEST_F(ClientAuth, OfferInBothSpellings) {
  EXPECT_EQ(client_.session().extensions().auth, "PLAIN LOGIN LOGIN CRAM-MD5 ");
  ClientDialogue bare;
  bare.Open("250-mx\r\n250 AUTH\r\n");
  EXPECT_EQ(bare.session().extensions().auth, " ");
}

TEST_F(ClientAuth, PlainInOneCommand) {
  EXPECT_EQ(Begin(plain_), absl::StrCat("AUTH PLAIN ", Base64(std::string("\0tim\0secret", 11)), "\r\n"));
  EXPECT_EQ(client_.session().step(), Step::kAuth);
  EXPECT_EQ(client_.Says("235 2.7.0 ok\r\n"), "");
  EXPECT_EQ(client_.want(), Want::kIdle);
  EXPECT_EQ(client_.Run(client_.session().Begin(Mail(1))).substr(0, 10), "MAIL FROM:");
}

TEST_F(ClientAuth, LongInitialResponseWaitsFor334) {
  SaslClient sasl(kPlain, {"tim", std::string(600, 'x')}, "");
  EXPECT_EQ(Begin(sasl), "AUTH PLAIN\r\n");
  const std::string answer = client_.Says("334 \r\n");
  EXPECT_EQ(answer, absl::StrCat(Base64(absl::StrCat(std::string("\0tim\0", 5), std::string(600, 'x'))), "\r\n"));
  client_.Says("235 ok\r\n");
  EXPECT_EQ(client_.want(), Want::kIdle);
}

TEST_F(ClientAuth, Login) {
  EXPECT_EQ(Begin(login_), "AUTH LOGIN\r\n");
  EXPECT_EQ(client_.Says("334 VXNlcm5hbWU6\r\n"), absl::StrCat(Base64("tim"), "\r\n"));
  EXPECT_EQ(client_.Says("334 UGFzc3dvcmQ6\r\n"), absl::StrCat(Base64("secret"), "\r\n"));
  client_.Says("235 ok\r\n");
  EXPECT_EQ(client_.want(), Want::kIdle);
}

TEST_F(ClientAuth, RefusalEndsTheSession) {
  for (const char* reply : {"535 5.7.8 bad\r\n", "454 4.7.0 later\r\n", "421 bye\r\n"}) {
    ClientDialogue client;
    client.Open(kOffer);
    SaslClient sasl(kPlain, {"tim", "secret"}, "");
    client.Run(client.session().Authenticate(&sasl));
    client.Says(reply);
    EXPECT_EQ(client.want(), Want::kClose);
    ASSERT_TRUE(client.session().refusal());
    EXPECT_EQ(absl::StrCat(client.session().refusal()->code), std::string(reply, 3));
    EXPECT_EQ(client.session().step(), Step::kAuth);
  }
}

TEST_F(ClientAuth, ServerThatBreaksTheRulesIsToldAndLeft) {
  SaslClient scram(kScramSha256, {"user", "pencil"}, "nonce");
  Begin(scram);
  EXPECT_EQ(client_.Says("334 !\r\n"), "*\r\n");
  client_.Says("501 cancelled\r\n");
  EXPECT_EQ(client_.want(), Want::kClose);
  EXPECT_EQ(client_.session().broke(), "the server's challenge is no base64");
}

TEST_F(ClientAuth, YesWithoutProofIsNone) {
  SaslClient scram(kScramSha256, {"user", "pencil"}, "nonce");
  Begin(scram);
  client_.Says("235 welcome\r\n");
  EXPECT_EQ(client_.want(), Want::kClose);
  EXPECT_FALSE(client_.session().reusable());
}

TEST_F(ClientAuth, EndlessChallengesEnd) {
  EXPECT_EQ(Begin(plain_).substr(0, 10), "AUTH PLAIN");
  EXPECT_EQ(client_.Says("334 YQ==\r\n"), "*\r\n");
  EXPECT_EQ(client_.Says("334 YQ==\r\n"), "");
  EXPECT_EQ(client_.want(), Want::kClose);
}

TEST_F(ClientAuth, LostConnectionNamesTheStep) {
  Begin(plain_);
  EXPECT_EQ(client_.session().Lost("timeout"), Want::kClose);
  EXPECT_EQ(client_.session().broke(), "timeout at AUTH");
}

}  // namespace
}  // namespace hikyaku::smtp
