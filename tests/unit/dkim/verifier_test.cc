#include "lib/dkim/verifier.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/dkim/header_digest.h"
#include "lib/dkim/key_record.h"
#include "lib/dkim/tag_list.h"

namespace hikyaku::dkim {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kNow = 1700000000;
constexpr char kBody[] = "hello\r\n";
constexpr char kHeader[] = "From: a@example.com\r\nSubject: hello\r\n\r\n";

const crypto::SigningKey& Key() {
  static const auto* const key = new crypto::SigningKey(crypto::SigningKey::GenerateEd25519());
  return *key;
}

// A field with the tags that a test wants, truly signed: %bh% is filled in, and b= follows.
std::string SignedAs(const std::string& tags) {
  BodyHasher hasher(Form::kSimple);
  hasher.Update(kBody);
  const std::string bh = absl::Base64Escape(hasher.Finish());
  const std::string field = absl::StrCat("DKIM-Signature: ", absl::StrReplaceAll(tags, {{"%bh%", bh}}), " b=");
  const std::string rest = absl::StrCat(kHeader, kBody);
  const auto header = mime::HeaderFields::Parse(rest);
  const auto tag_list = TagList::Parse(absl::string_view(field).substr(15));
  const std::string forms(tag_list.ok() ? tag_list->Find("c").value_or("simple") : "simple");
  const Form form = forms.substr(0, 7) == "relaxed" ? Form::kRelaxed : Form::kSimple;
  const std::string digest = HeaderDigest(*header, {"from", "subject"}, form, field);
  return absl::StrCat(field, absl::Base64Escape(*Key().Sign(digest)), "\r\n", rest);
}

std::string Tags(const std::string& more = "") {
  return absl::StrCat("v=1; a=ed25519-sha256; d=example.com; s=k1; h=from:subject; bh=%bh%;", more);
}

Verdict Check(const std::string& message, const KeyAnswer& answer) {
  const auto verification = Verification::Start(message, kNow);
  EXPECT_TRUE(verification.ok()) << verification.status();
  if (!verification.ok() || verification->size() == 0) return {};
  return verification->Judge(0, answer);
}

Verdict Check(const std::string& message) { return Check(message, std::vector<std::string>{FormatKeyRecord(Key())}); }

TEST(VerifierRfc6376Section61, ASignatureOfOurOwnPasses) {
  EXPECT_EQ(Check(SignedAs(Tags())).ToString(), "pass: d=example.com s=k1 a=ed25519-sha256 (256 bits)");
  const std::string signed_so =
      SignedAs(Tags(" c=relaxed; t=1; x=99999999999; q=dns/txt; i=me@sub.example.com; z=x|y; foo=bar;"));
  EXPECT_EQ(Check(signed_so).ToString(), "pass: d=example.com s=k1 a=ed25519-sha256 (256 bits)") << signed_so;
}

TEST(VerifierRfc6376Section611, WhatCannotBeBelievedIsAPermError) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a=ed25519-sha256; d=example.com; s=k1; h=from:subject; bh=%bh%;", "v= is missing"},
      {"v=2; a=ed25519-sha256; d=example.com; s=k1; h=from:subject; bh=%bh%;", "v= is not 1"},
      {"v=1; a=rsa-sha1; d=example.com; s=k1; h=from:subject; bh=%bh%;", "RFC 8301"},
      {"v=1; a=ecdsa; d=example.com; s=k1; h=from:subject; bh=%bh%;", "a= is neither"},
      {"v=1; a=ed25519-sha256; s=k1; h=from:subject; bh=%bh%;", "d= is missing"},
      {"v=1; a=ed25519-sha256; d=exa mple; s=k1; h=from:subject; bh=%bh%;", "d= is no domain"},
      {"v=1; a=ed25519-sha256; d=example.com; s=; h=from:subject; bh=%bh%;", "s= is empty"},
      {"v=1; a=ed25519-sha256; d=example.com; s=k1; h=subject; bh=%bh%;", "does not hold From"},
      {"v=1; a=ed25519-sha256; d=example.com; s=k1; h=from::subject; bh=%bh%;", "empty name"},
      {"v=1; a=ed25519-sha256; d=example.com; s=k1; h=from:subject; bh=AAAA;", "bh= is no SHA-256"},
      {"v=1; a=ed25519-sha256; d=example.com; s=k1; h=from:subject; bh=%%%;", "bh= is not base64"},
      {Tags(" d=example.com;"), "\"d\" is there twice"},
      {Tags(" nonsense;"), "is no tag"},
      {Tags(" =x;"), "is no tag"},
      {Tags(" i=me@example.net;"), "i= is neither"},
      {Tags(" i=me@notexample.com;"), "i= is neither"},
      {Tags(" c=odd;"), "c= must be"},
      {Tags(" q=http;"), "q= does not"},
      {Tags(" l=x;"), "l= is no number"},
      {Tags(" l=9999999999999999999999;"), "l= is no number"},
      {Tags(" t=5; x=5;"), "x= is not after"},
  };
  for (const auto& [tags, why] : cases) {
    const Verdict verdict = Check(SignedAs(tags));
    EXPECT_EQ(verdict.result, Result::kPermError) << tags;
    EXPECT_THAT(verdict.reason, HasSubstr(why)) << tags;
  }
}

TEST(VerifierRfc6376Section612, KeysThatCannotBeUsed) {
  const std::string message = SignedAs(Tags(" i=me@sub.example.com;"));
  const std::string p = FormatKeyRecord(Key()).substr(20);
  ASSERT_EQ(p.substr(0, 2), "p=");
  const std::vector<std::tuple<std::string, Result, std::string>> cases = {
      {absl::StrCat("k=ed25519; ", p), Result::kPass, ""},
      {absl::StrCat("v=DKIM1; h=sha1:sha256; s=email:x; t=y; n=note; k=ed25519; ", p), Result::kPass, ""},
      {absl::StrCat("v=DKIM1; k=ed25519; t=s; ", p), Result::kPermError, "not for subdomains"},
      {absl::StrCat("k=ed25519; v=DKIM1; ", p), Result::kPermError, "begin with v=DKIM1"},
      {absl::StrCat("v=DKIM2; k=ed25519; ", p), Result::kPermError, "begin with v=DKIM1"},
      {absl::StrCat("v=DKIM1; h=sha1; k=ed25519; ", p), Result::kPermError, "sha256"},
      {absl::StrCat("v=DKIM1; s=web; k=ed25519; ", p), Result::kPermError, "not for e-mail"},
      {absl::StrCat("v=DKIM1; k=x; ", p), Result::kPermError, "another kind"},
      {absl::StrCat("v=DKIM1; ", p), Result::kPermError, "of another kind than a="},
      {"v=DKIM1; k=ed25519", Result::kPermError, "no key"},
      {"v=DKIM1; k=ed25519; p=", Result::kFail, "withdrawn"},
      {"v=DKIM1; k=ed25519; p=AAAA", Result::kPermError, "has 3 bytes"},
      {"v=DKIM1; k=ed25519; p=!", Result::kPermError, "not base64"},
      {"v=spf1 -all", Result::kPermError, "begin with v=DKIM1"},
      {"any text", Result::kPermError, "cannot be read"},
      {FormatKeyRecord(crypto::SigningKey::GenerateEd25519()), Result::kFail, "the key is not the signer's"},
  };
  for (const auto& [record, result, why] : cases) {
    const Verdict verdict = Check(message, std::vector<std::string>{record});
    EXPECT_EQ(verdict.result, result) << record << ": " << verdict.ToString();
    EXPECT_THAT(verdict.reason, HasSubstr(why)) << record;
  }
}

TEST(VerifierRfc6376Section612, WhatTheDnsSays) {
  const std::string message = SignedAs(Tags());
  EXPECT_THAT(Check(message, absl::NotFoundError("NXDOMAIN")).ToString(),
              HasSubstr("permerror: d=example.com s=k1 a=ed25519-sha256: there is no key: no TXT record at "
                        "k1._domainkey.example.com"));
  EXPECT_EQ(Check(message, std::vector<std::string>{}).result, Result::kPermError);
  EXPECT_EQ(Check(message, absl::UnavailableError("SERVFAIL")).result, Result::kTempError);
  EXPECT_THAT(Check(message, absl::DeadlineExceededError("no answer in 5s")).reason, HasSubstr("no answer in 5s"));
  EXPECT_EQ(Check(message, std::vector<std::string>{"v=spf1 -all", FormatKeyRecord(Key())}).result, Result::kPass);
}

TEST(VerifierRfc6376Section613, TimesAndLengths) {
  EXPECT_THAT(Check(SignedAs(Tags(" t=1; x=1699999999;"))).reason, HasSubstr("expired"));
  const std::string with_length = SignedAs(Tags(" l=7;"));
  EXPECT_EQ(Check(with_length).ToString(), "pass: d=example.com s=k1 a=ed25519-sha256 (256 bits)");
  const Verdict appended = Check(absl::StrCat(with_length, "more\r\n"));
  EXPECT_EQ(appended.result, Result::kPass);
  EXPECT_THAT(appended.reason, HasSubstr("the last 6 octets of the body are not signed"));
  EXPECT_THAT(Check(SignedAs(Tags(" l=8;"))).reason, HasSubstr("the body was cut"));
}

TEST(VerifierBounds, SignaturesBeyondTheTenthAreNotLookedAt) {
  std::string message;
  for (int i = 0; i < 25; ++i) absl::StrAppend(&message, "DKIM-Signature: v=1\r\n");
  const auto verification = Verification::Start(absl::StrCat(message, kHeader), kNow);
  ASSERT_TRUE(verification.ok());
  EXPECT_EQ(verification->size(), 10u);
  EXPECT_EQ(verification->skipped(), 15u);
}

TEST(VerifierBounds, TagListsAreBounded) {
  std::string many;
  for (int i = 0; i < 60; ++i) absl::StrAppend(&many, "t", i, "=1;");
  EXPECT_THAT(TagList::Parse(many).status().message(), HasSubstr("more than 50 tags"));
  EXPECT_THAT(TagList::Parse(std::string(20000, 'x')).status().message(), HasSubstr("16384"));
  std::string names = "from";
  for (int i = 0; i < 1200; ++i) absl::StrAppend(&names, ":x", i);
  EXPECT_THAT(
      Check(SignedAs(absl::StrCat("v=1; a=ed25519-sha256; d=example.com; s=k1; bh=%bh%; h=", names, ";"))).reason,
      HasSubstr("too many names"));
}

TEST(VerifierHeader, WhatCannotBeReadIsSaid) {
  EXPECT_FALSE(Verification::Start("no colon here\r\n\r\n", kNow).ok());
  const auto none = Verify(absl::StrCat(kHeader, kBody), kNow, [](const std::string&) { return KeyAnswer(); });
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->empty());
}

TEST(TagListRfc6376Section32, BlanksAndFoldsAroundTagsDoNotCount) {
  const auto list = TagList::Parse(" v = 1 ;\r\n\ta=x y\r\n z ; _x=;");
  EXPECT_FALSE(list.ok());  // A name begins with a letter.
  const auto good = TagList::Parse(" v = 1 ;\r\n\ta=x y\r\n z ; x_1=; p=a==;");
  ASSERT_TRUE(good.ok()) << good.status();
  EXPECT_EQ(good->Find("v"), "1");
  EXPECT_EQ(good->Find("a"), "x y\r\n z");
  EXPECT_EQ(good->Find("x_1"), "");
  EXPECT_EQ(good->Find("p"), "a==");
  EXPECT_EQ(good->Find("V"), std::nullopt);
  EXPECT_TRUE(TagList::Parse("")->tags().empty());
}

TEST(SignatureBytes, AreLeftOutWhereverTheyStand) {
  EXPECT_EQ(WithoutSignatureBytes("DKIM-Signature: a=1; b = AB\r\n CD ; bh=x\r\n"),
            "DKIM-Signature: a=1; b =; bh=x\r\n");
  EXPECT_EQ(WithoutSignatureBytes("DKIM-Signature: b=AB\r\n"), "DKIM-Signature: b=");
  EXPECT_EQ(WithoutSignatureBytes("DKIM-Signature: bb=AB; x=b=c"), "DKIM-Signature: bb=AB; x=b=c");
  EXPECT_EQ(WithoutSignatureBytes("nothing"), "nothing");
}

TEST(KeyRecordText, IsSplitInto255) {
  EXPECT_EQ(FormatTxtData("v=DKIM1"), "\"v=DKIM1\"");
  EXPECT_EQ(FormatTxtData(std::string(256, 'x')), absl::StrCat("\"", std::string(255, 'x'), "\" \"x\""));
}

}  // namespace
}  // namespace hikyaku::dkim
