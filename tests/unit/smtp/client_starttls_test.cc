// STARTTLS in the client session (RFC 3207), and what is slipped in around it.
#include <string>

#include "gtest/gtest.h"
#include "lib/smtp/client_session.h"
#include "tests/unit/smtp/client_dialogue.h"

namespace hikyaku::smtp {
namespace {

constexpr char kEhlo[] = "EHLO out.ours.test\r\n";
constexpr char kStartTls[] = "STARTTLS\r\n";
constexpr char kOffer[] = "250-mx\r\n250-CHUNKING\r\n250 STARTTLS\r\n";

ClientDialogue& Greeted(ClientDialogue& client, absl::string_view extensions) {
  EXPECT_EQ(client.Says("220 mx ESMTP\r\n"), kEhlo);
  client.Says(extensions);
  return client;
}

TEST(StartTls, IsSaidWhereItIsOffered) {
  for (const StartTls wish : {StartTls::kIfOffered, StartTls::kRequired}) {
    ClientDialogue client(wish);
    EXPECT_EQ(client.Says("220 mx ESMTP\r\n"), kEhlo);
    EXPECT_EQ(client.Says(kOffer), kStartTls);
    EXPECT_EQ(client.session().step(), Step::kStartTls);
    EXPECT_EQ(client.Says("220 go ahead\r\n"), "");
    ASSERT_EQ(client.want(), Want::kTls);
    EXPECT_FALSE(client.session().reusable());
    EXPECT_EQ(client.Run(client.session().TlsBegun()), kEhlo);
    // An offer within TLS means nothing.
    EXPECT_EQ(client.Says("250-mx\r\n250 STARTTLS\r\n"), "");
    EXPECT_EQ(client.want(), Want::kIdle);
    EXPECT_TRUE(client.session().reusable());
  }
}

TEST(StartTls, WhatWasOfferedInClearTextIsForgotten) {
  ClientDialogue client(StartTls::kIfOffered);
  Greeted(client, kOffer).Says("220 go ahead\r\n");
  client.Run(client.session().TlsBegun());
  client.Says("250 mx\r\n");
  EXPECT_FALSE(client.session().extensions().chunking);
}

// Else each reply would be taken for the answer to the next command.
TEST(StartTls, AGreetingWithinTlsIsNoAnswerToEhlo) {
  ClientDialogue client(StartTls::kIfOffered);
  Greeted(client, kOffer).Says("220 go ahead\r\n");
  client.Run(client.session().TlsBegun());
  client.Says("220 mx ESMTP\r\n");
  EXPECT_EQ(client.want(), Want::kClose);
  EXPECT_EQ(client.session().broke(), "no answer to EHLO: 220 mx ESMTP");
}

TEST(StartTls, IsNotSaidWhereNoneIsWanted) {
  ClientDialogue client;
  EXPECT_EQ(Greeted(client, kOffer).want(), Want::kIdle);
}

TEST(StartTls, WithoutAnOfferTheSessionGoesOnWhereItMay) {
  ClientDialogue client(StartTls::kIfOffered);
  EXPECT_EQ(Greeted(client, kAll).want(), Want::kIdle);
  EXPECT_FALSE(client.session().tls_denied());
}

TEST(StartTls, WithoutAnOfferTheSessionEndsWhereItMust) {
  for (const char* offer : {kAll, kOld}) {
    ClientDialogue client(StartTls::kRequired);
    EXPECT_EQ(client.Says("220 mx ESMTP\r\n"), kEhlo);
    EXPECT_EQ(client.Says(offer), "QUIT\r\n");
    EXPECT_FALSE(client.session().reusable());
    EXPECT_EQ(client.session().tls_denied(), "");
    client.Says("221 bye\r\n");
    EXPECT_EQ(client.want(), Want::kClose);
  }
}

TEST(StartTls, ServerThatKnowsOnlyHeloHasNone) {
  ClientDialogue client(StartTls::kRequired);
  client.Says("220 mx ESMTP\r\n");
  EXPECT_EQ(client.Says("502 what\r\n"), "HELO out.ours.test\r\n");
  EXPECT_EQ(client.Says("250-mx\r\n250 STARTTLS\r\n"), "QUIT\r\n");
}

TEST(StartTls, RefusalLeavesTheSessionInClearTextWhereItMay) {
  for (const char* refusal : {"454 4.7.0 not now\r\n", "502 what\r\n"}) {
    ClientDialogue may(StartTls::kIfOffered);
    EXPECT_EQ(Greeted(may, kOffer).Says(refusal), "");
    EXPECT_EQ(may.want(), Want::kIdle);
    EXPECT_TRUE(may.session().extensions().chunking);

    ClientDialogue must(StartTls::kRequired);
    EXPECT_EQ(Greeted(must, kOffer).Says(refusal), "QUIT\r\n");
    ASSERT_TRUE(must.session().tls_denied());
    EXPECT_NE(*must.session().tls_denied(), "");
  }
}

TEST(StartTls, ClosingAndNonsenseEndTheSession) {
  ClientDialogue closing(StartTls::kIfOffered);
  Greeted(closing, kOffer).Says("421 bye\r\n");
  EXPECT_EQ(closing.want(), Want::kClose);
  EXPECT_EQ(closing.session().refusal()->code, 421);
  for (const char* odd : {"250 ok\r\n", "334 x\r\n", "354 go\r\n"}) {
    ClientDialogue client(StartTls::kIfOffered);
    Greeted(client, kOffer).Says(odd);
    EXPECT_EQ(client.want(), Want::kClose) << odd;
    EXPECT_NE(client.session().broke(), "") << odd;
  }
}

// CVE-2011-0411 and the "NO STARTTLS" papers: what stands behind the 220 in clear text was put there by someone else, and
// must not count as said within TLS.
TEST(StartTls, WhatComesBehindTheReplyBreaksTheSession) {
  for (const char* more : {"250-mx\r\n250 ok\r\n", "250-mx\r\n", "2", "250 x\r\n", "\r\n", "421 bye\r\n"}) {
    ClientDialogue client(StartTls::kIfOffered);
    Greeted(client, kOffer).Says(absl::StrCat("220 go ahead\r\n", more));
    EXPECT_EQ(client.want(), Want::kClose) << more;
    EXPECT_FALSE(client.session().reusable());
  }
}

// The answer to a STARTTLS that was not sent yet, behind the one to EHLO.
TEST(StartTls, ReplyBeforeTheCommandBreaksTheSession) {
  ClientDialogue client(StartTls::kIfOffered);
  EXPECT_EQ(client.Says("220 mx ESMTP\r\n"), kEhlo);
  EXPECT_EQ(client.Says(absl::StrCat(kOffer, "220 go ahead\r\n")), "");
  EXPECT_EQ(client.want(), Want::kClose);
}

TEST(StartTls, FailedHandshakeIsALostConnection) {
  ClientDialogue client(StartTls::kIfOffered);
  Greeted(client, kOffer).Says("220 go ahead\r\n");
  EXPECT_EQ(client.session().Lost("TLS handshake failed"), Want::kClose);
  EXPECT_EQ(client.session().broke(), "TLS handshake failed at STARTTLS");
}

}  // namespace
}  // namespace hikyaku::smtp
