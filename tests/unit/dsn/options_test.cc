#include "lib/dsn/options.h"

#include <string>

#include "gtest/gtest.h"

namespace hikyaku::dsn {
namespace {

TEST(Notify, IsNeverAloneOrAListWithoutRepetition) {
  EXPECT_EQ(ParseNotify("NEVER"), kNever);
  EXPECT_EQ(ParseNotify("success"), kSuccess);
  EXPECT_EQ(ParseNotify("DELAY,SUCCESS,FAILURE"), kSuccess | kFailure | kDelay);
  for (const char* bad : {"", ",", "NEVER,FAILURE", "FAILURE,FAILURE", "FAILURE,", "SOMETIMES", "FAILURE DELAY"}) {
    EXPECT_FALSE(ParseNotify(bad).has_value()) << bad;
  }
}

TEST(Notify, IsSaidAgainInOneOrder) {
  EXPECT_EQ(NotifyText(kNever), "NEVER");
  EXPECT_EQ(NotifyText(kDelay | kSuccess), "SUCCESS,DELAY");
  EXPECT_EQ(NotifyText(0), "");
}

TEST(Notify, WhoSaysNothingHearsOfFailureAndDelay) {
  EXPECT_TRUE(Wants(0, kFailure));
  EXPECT_TRUE(Wants(0, kDelay));
  EXPECT_FALSE(Wants(0, kSuccess));
  EXPECT_FALSE(Wants(kNever, kFailure | kDelay | kSuccess));
  EXPECT_FALSE(Wants(kSuccess, kFailure));
}

TEST(Xtext, EncodesWhatItMustAndComesBack) {
  EXPECT_EQ(EncodeXtext("QQ314159"), "QQ314159");
  EXPECT_EQ(EncodeXtext("a+b=c d"), "a+2Bb+3Dc+20d");
  for (int c = 0x20; c < 0x7f; ++c) {
    const std::string text(1, static_cast<char>(c));
    EXPECT_EQ(DecodeXtext(EncodeXtext(text)), text) << c;
  }
}

TEST(Xtext, HidesNoControlsAndNoLowerCaseHex) {
  for (const char* bad : {"a+0Ab", "a+0D", "+00", "+7F", "+C3+B6", "a+2", "a+", "+2b", "a=b", "a b", "\xc3\xb6"}) {
    EXPECT_FALSE(DecodeXtext(bad).has_value()) << bad;
  }
}

TEST(EnvelopeId, IsBounded) {
  EXPECT_TRUE(IsEnvelopeId(std::string(100, 'x')));
  EXPECT_FALSE(IsEnvelopeId(std::string(101, 'x')));
  EXPECT_FALSE(IsEnvelopeId(""));
}

TEST(OriginalRecipient, IsATypeAndXtext) {
  EXPECT_EQ(ParseOriginalRecipient("RFC822;Bob+2Bx@example.com", false), "rfc822;Bob+2Bx@example.com");
  EXPECT_EQ(OriginalRecipientField("rfc822;Bob+2Bx@example.com", false), "rfc822; Bob+x@example.com");
  for (const char* bad : {"", "rfc822", "rfc822;", ";bob@example.com", "rfc 822;bob@example.com", "rfc822;a+0Ab",
                          "rfc822;b\xc3\xb6@example.com", "utf-8;b\xff@example.com"}) {
    EXPECT_FALSE(ParseOriginalRecipient(bad, true).has_value()) << bad;
  }
  EXPECT_FALSE(ParseOriginalRecipient("rfc822;" + std::string(500, 'a'), false).has_value());
}

TEST(OriginalRecipient, BeyondAsciiIsKeptInAscii) {
  EXPECT_FALSE(ParseOriginalRecipient("utf-8;b\xc3\xb6@example.com", false).has_value());
  EXPECT_EQ(ParseOriginalRecipient("utf-8;b\xc3\xb6@example.com", true), "utf-8;b\\x{F6}@example.com");
  EXPECT_EQ(ParseOriginalRecipient("utf-8;b\\x{F6}@example.com", false), "utf-8;b\\x{F6}@example.com");
  EXPECT_EQ(OriginalRecipientField("utf-8;b\\x{F6}@example.com", true), "utf-8; b\xc3\xb6@example.com");
  EXPECT_EQ(OriginalRecipientField("utf-8;b\\x{F6}@example.com", false), "utf-8; b\\x{F6}@example.com");
}

// A line break, half of a pair or a number too large stays as it was written.
TEST(OriginalRecipient, NoLineBreakComesOutOfAnEscape) {
  for (const char* bad : {"utf-8;a\\x{A}b", "utf-8;a\\x{D}b", "utf-8;a\\x{D800}b", "utf-8;a\\x{110000}b",
                          "utf-8;a\\x{}b", "utf-8;a\\x{1F600b"}) {
    const auto kept = ParseOriginalRecipient(bad, false);
    ASSERT_TRUE(kept.has_value()) << bad;
    EXPECT_EQ(OriginalRecipientField(*kept, true), "utf-8; " + std::string(bad).substr(6)) << bad;
  }
  EXPECT_EQ(OriginalRecipientField("utf-8;\\x{1F600}@x", true), "utf-8; \xf0\x9f\x98\x80@x");
}

}  // namespace
}  // namespace hikyaku::dsn
