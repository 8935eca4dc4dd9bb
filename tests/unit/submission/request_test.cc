#include "lib/submission/request.h"

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "lib/submission/failure.h"

namespace hikyaku::submission {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

v1::SendMailRequest GoodContent() {
  v1::SendMailRequest request;
  v1::Content& content = *request.mutable_content();
  content.mutable_from()->set_address("alice@ours.test");
  content.add_to()->set_address("r@ok.test");
  content.set_subject("Hello");
  content.set_text("Hi\n");
  return request;
}

v1::SendMailRequest GoodRaw() {
  v1::SendMailRequest request;
  request.set_envelope_sender("alice@ours.test");
  request.mutable_raw()->set_data("From: alice@ours.test\r\n\r\nHi\r\n");
  request.mutable_raw()->add_recipients("r@ok.test");
  return request;
}

absl::Status Check(const v1::SendMailRequest& request) {
  RequestLimits limits;
  limits.recipients = 5;
  return ReadRequest(request, limits, kNow).status();
}

std::set<std::string> Paths(const absl::Status& status) {
  std::set<std::string> paths;
  for (const FieldError& field : FieldsOf(status)) paths.insert(field.path);
  return paths;
}

// ---- Injection: every payload in every field that becomes a header, an address or a parameter (BATTERY H01). ----

struct Payload {
  const char* name;
  std::string text;
};

struct Field {
  const char* name;
  const char* path;
  std::function<void(v1::SendMailRequest*, const std::string&)> set;
};

std::vector<Payload> Payloads() {
  return {{"I1CrLf", "x\r\nBcc: v@evil.test"},
          {"I2Lf", "x\nX-Inj: 1"},
          {"I3Cr", "x\rX-Inj: 1"},
          {"I4Body", "x\r\n\r\nbody"},
          {"I5Nul", std::string("x\0y", 3)},
          {"I10Fold", "x\r\n .\r\nMAIL"},
          {"I12BadUtf8", "x\xff\xfey"},
          {"I13Dot", "a\r\n.\r\nRCPT TO:<b@evil.test>"},
          {"I14Megabyte", std::string(1 << 20, 'a')}};
}

std::vector<Field> Fields() {
  using R = v1::SendMailRequest;
  using S = std::string;
  return {
      {"Subject", "content.subject", [](R* r, const S& v) { r->mutable_content()->set_subject(v); }},
      {"FromName", "content.from.display_name",
       [](R* r, const S& v) { r->mutable_content()->mutable_from()->set_display_name(v); }},
      {"FromAddress", "content.from.address",
       [](R* r, const S& v) { r->mutable_content()->mutable_from()->set_address(v); }},
      {"Sender", "content.sender.address",
       [](R* r, const S& v) { r->mutable_content()->mutable_sender()->set_address(v); }},
      {"ReplyTo", "content.reply_to[0].address",
       [](R* r, const S& v) { r->mutable_content()->add_reply_to()->set_address(v); }},
      {"ToName", "content.to[0].display_name",
       [](R* r, const S& v) { r->mutable_content()->mutable_to(0)->set_display_name(v); }},
      {"ToAddress", "content.to[0].address",
       [](R* r, const S& v) { r->mutable_content()->mutable_to(0)->set_address(v); }},
      {"Cc", "content.cc[0].address", [](R* r, const S& v) { r->mutable_content()->add_cc()->set_address(v); }},
      {"Bcc", "content.bcc[0].address", [](R* r, const S& v) { r->mutable_content()->add_bcc()->set_address(v); }},
      {"HeaderName", "content.headers[0].name",
       [](R* r, const S& v) { r->mutable_content()->add_headers()->set_name(v); }},
      {"HeaderValue", "content.headers[0].value",
       [](R* r, const S& v) {
         v1::Header& header = *r->mutable_content()->add_headers();
         header.set_name("X-Test");
         header.set_value(v);
       }},
      {"Filename", "content.attachments[0].filename",
       [](R* r, const S& v) { r->mutable_content()->add_attachments()->set_filename(v); }},
      {"ContentType", "content.attachments[0].content_type",
       [](R* r, const S& v) { r->mutable_content()->add_attachments()->set_content_type(v); }},
      {"ContentId", "content.attachments[0].content_id",
       [](R* r, const S& v) { r->mutable_content()->add_attachments()->set_content_id(v); }},
      {"EnvelopeSender", "envelope_sender", [](R* r, const S& v) { r->set_envelope_sender(v); }},
      {"Tenant", "tenant", [](R* r, const S& v) { r->set_tenant(v); }},
      {"Stream", "stream", [](R* r, const S& v) { r->set_stream(v); }},
      {"Tag", "tags[0]", [](R* r, const S& v) { r->add_tags(v); }},
      {"IdempotencyKey", "idempotency_key", [](R* r, const S& v) { r->set_idempotency_key(v); }},
  };
}

TEST(Injection, EveryPayloadInEveryFieldIsRefusedByName) {
  for (const Field& field : Fields()) {
    for (const Payload& payload : Payloads()) {
      v1::SendMailRequest request = GoodContent();
      field.set(&request, payload.text);
      const absl::Status status = Check(request);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field.name << " " << payload.name;
      EXPECT_TRUE(Paths(status).contains(field.path)) << field.name << " " << payload.name << ": " << status;
      for (const FieldError& error : FieldsOf(status)) {
        EXPECT_LE(error.description.size(), 300u);
        EXPECT_EQ(error.description.find_first_of(std::string("\r\n\0", 3)), std::string::npos);
      }
    }
  }
}

TEST(Injection, HarmlessUnicodeAndEncodedWordsAreText) {
  for (const char* text :
       {"x\u560a\u560dX-Inj: 1", "a\u2028b", "a\u0085b", "=?utf-8?q?=0d=0aX-Inj:_1?=", "\"><b@evil.test>"}) {
    v1::SendMailRequest request = GoodContent();
    request.mutable_content()->set_subject(text);
    request.mutable_content()->mutable_to(0)->set_display_name(text);
    EXPECT_EQ(Check(request), absl::OkStatus()) << text;
  }
}

TEST(Injection, SmtpInRecipientAddresses) {
  for (const char* text :
       {"v@ok.test>\r\nRCPT TO:<w@evil.test", "v@ok.test NOTIFY=SUCCESS", "v@ok.test> SIZE=1", "<v@ok.test",
        "\"a\r\n b\"@ok.test", "u@127.1", "u@2130706433", "u@[0x7f.1]", "u@ok.test:25", "u@ok.test/..", ""}) {
    v1::SendMailRequest content = GoodContent();
    content.mutable_content()->add_bcc()->set_address(text);
    EXPECT_EQ(Paths(Check(content)), std::set<std::string>{"content.bcc[0].address"}) << text;
    v1::SendMailRequest raw = GoodRaw();
    raw.mutable_raw()->add_recipients(text);
    EXPECT_EQ(Paths(Check(raw)), std::set<std::string>{"raw.recipients[1]"}) << text;
  }
}

// ---- One rule a row: what breaks it, and the field that is named. ----

struct RuleCase {
  const char* name;
  const char* path;
  std::function<void(v1::SendMailRequest*)> spoil;
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

std::vector<RuleCase> Rules() {
  using R = v1::SendMailRequest;
  const std::string label65(65, 'a');
  const auto kUnimplemented = absl::StatusCode::kUnimplemented;
  return {
      {"NoMessage", "message", [](R* r) { r->clear_content(); }},
      {"NoFrom", "content.from", [](R* r) { r->mutable_content()->clear_from(); }},
      {"NoRecipients", "content.to", [](R* r) { r->mutable_content()->clear_to(); }},
      {"TooManyRecipients", "content.to",
       [](R* r) {
         for (int i = 0; i < 5; ++i) r->mutable_content()->add_cc()->set_address(absl::StrCat("a", i, "@b.test"));
       }},
      {"EmptyBody", "content.text", [](R* r) { r->mutable_content()->clear_text(); }},
      {"SubjectTooLong", "content.subject",
       [](R* r) { r->mutable_content()->set_subject(std::string(16 * 1024 + 1, 'a')); }},
      {"HeaderNameEmpty", "content.headers[0].name", [](R* r) { r->mutable_content()->add_headers(); }},
      {"HeaderNameSpace", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name("X A"); }},
      {"HeaderNameColon", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name("X:A"); }},
      {"HeaderNameUnicode", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name("\u00e9"); }},
      {"HeaderNameLong", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name(std::string(1000, 'a')); }},
      {"HeaderReservedFrom", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name("fRoM"); }},
      {"HeaderReservedDkim", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name("DKIM-Signature"); }},
      {"HeaderReservedBcc", "content.headers[0].name",
       [](R* r) { r->mutable_content()->add_headers()->set_name("Bcc"); }},
      {"FilenamePath", "content.attachments[0].filename",
       [](R* r) { r->mutable_content()->add_attachments()->set_filename("../etc/passwd"); }},
      {"TypeMultipart", "content.attachments[0].content_type",
       [](R* r) { r->mutable_content()->add_attachments()->set_content_type("multipart/mixed"); }},
      {"TypeBoundary", "content.attachments[0].content_type",
       [](R* r) { r->mutable_content()->add_attachments()->set_content_type("text/html; boundary=x"); }},
      {"TenantLong", "tenant", [label65](R* r) { r->set_tenant(label65); }},
      {"TenantSlash", "tenant", [](R* r) { r->set_tenant("a/b"); }},
      {"StreamSpace", "stream", [](R* r) { r->set_stream("a b"); }},
      {"TagsMany", "tags",
       [](R* r) {
         for (int i = 0; i < 11; ++i) r->add_tags("t");
       }},
      {"TagLong", "tags[0]", [label65](R* r) { r->add_tags(label65); }},
      {"MetadataMany", "metadata",
       [](R* r) {
         for (int i = 0; i < 21; ++i) (*r->mutable_metadata())[absl::StrCat(i)] = "v";
       }},
      {"MetadataLarge", "metadata", [](R* r) { (*r->mutable_metadata())["k"] = std::string(4096, 'v'); }},
      {"KeyLong", "idempotency_key", [](R* r) { r->set_idempotency_key(std::string(257, 'k')); }},
      {"KeyUnicode", "idempotency_key", [](R* r) { r->set_idempotency_key("\u00e9"); }},
      {"NotBeforeFar", "not_before",
       [](R* r) { r->mutable_not_before()->set_seconds(absl::ToUnixSeconds(kNow) + 30 * 86400 + 1); }},
      {"NotBeforeNonsense", "not_before", [](R* r) { r->mutable_not_before()->set_nanos(-1); }},
      {"DeliverByPast", "deliver_by", [](R* r) { r->mutable_deliver_by()->set_seconds(absl::ToUnixSeconds(kNow)); }},
      {"DeliverByBeforeNotBefore", "deliver_by",
       [](R* r) {
         r->mutable_not_before()->set_seconds(absl::ToUnixSeconds(kNow) + 100);
         r->mutable_deliver_by()->set_seconds(absl::ToUnixSeconds(kNow) + 50);
       }},
      {"PriorityUnknown", "priority", [](R* r) { r->set_priority(static_cast<v1::Priority>(9)); }},
      {"RawEmpty", "raw.data", [](R* r) { *r = GoodRaw(), r->mutable_raw()->clear_data(); }},
      {"RawNoRecipients", "raw.recipients", [](R* r) { *r = GoodRaw(), r->mutable_raw()->clear_recipients(); }},
      {"RawNoSender", "envelope_sender", [](R* r) { *r = GoodRaw(), r->clear_envelope_sender(); }},
      {"DsnWithoutSender", "dsn", [](R* r) { r->mutable_dsn(), r->set_envelope_sender("<>"); }},
      {"EnvelopeIdTooLong", "dsn.envelope_id", [](R* r) { r->mutable_dsn()->set_envelope_id(std::string(101, 'x')); }},
      {"EnvelopeIdTooLongAsXtext", "dsn.envelope_id",
       [](R* r) { r->mutable_dsn()->set_envelope_id(std::string(40, '=')); }},
      {"EnvelopeIdWithLineBreak", "dsn.envelope_id", [](R* r) { r->mutable_dsn()->set_envelope_id("a\r\nBcc: x"); }},
      {"ListUnsubscribe", "list_unsubscribe", [](R* r) { r->mutable_list_unsubscribe(); }, kUnimplemented},
  };
}

TEST(Rules, EachIsEnforcedAndNamed) {
  for (const RuleCase& rule : Rules()) {
    v1::SendMailRequest request = GoodContent();
    rule.spoil(&request);
    const absl::Status status = Check(request);
    EXPECT_EQ(status.code(), rule.code) << rule.name;
    EXPECT_EQ(Paths(status), std::set<std::string>{rule.path}) << rule.name << ": " << status;
  }
}

// It may be the repeat of a request that was in time: the acceptor knows, by the key.
TEST(Rules, DeliverByInThePastPassesWithAKey) {
  v1::SendMailRequest request = GoodContent();
  request.mutable_deliver_by()->set_seconds(absl::ToUnixSeconds(kNow) - 1);
  request.set_idempotency_key("k");
  EXPECT_EQ(Check(request), absl::OkStatus());
  request.set_dry_run(true);  // Touches no key.
  EXPECT_EQ(Paths(Check(request)), std::set<std::string>{"deliver_by"});
}

TEST(Rules, AllAtTheirLimitsPass) {
  v1::SendMailRequest request = GoodContent();
  for (int i = 0; i < 4; ++i) request.mutable_content()->add_bcc()->set_address(absl::StrCat("a", i, "@b.test"));
  request.set_tenant(std::string(64, 'a'));
  for (int i = 0; i < 10; ++i) request.add_tags(std::string(64, 't'));
  (*request.mutable_metadata())["k"] = std::string(4095, 'v');
  request.set_idempotency_key(std::string(256, '~'));
  request.mutable_not_before()->set_seconds(absl::ToUnixSeconds(kNow) + 30 * 86400);
  request.mutable_deliver_by()->set_seconds(absl::ToUnixSeconds(kNow) + 30 * 86400 + 1);
  request.mutable_dsn();
  EXPECT_EQ(Check(request), absl::OkStatus());
}

TEST(Reports, AreAskedForByDsn) {
  v1::SendMailRequest request = GoodContent();
  EXPECT_FALSE(ReadRequest(request, RequestLimits(), kNow)->reports.has_value());
  request.mutable_dsn();
  const auto plain = ReadRequest(request, RequestLimits(), kNow);
  ASSERT_TRUE(plain->reports.has_value());
  EXPECT_EQ(plain->reports->notify, 0u);  // Failure and delay.
  request.mutable_dsn()->set_notify_success(true);
  request.mutable_dsn()->set_notify_delay(true);
  request.mutable_dsn()->set_headers_only(true);
  request.mutable_dsn()->set_envelope_id("order 17");
  const auto all = ReadRequest(request, RequestLimits(), kNow);
  EXPECT_EQ(all->reports->notify, dsn::kSuccess | dsn::kDelay);
  EXPECT_EQ(all->reports->returned, dsn::Returned::kHeaders);
  EXPECT_EQ(all->reports->envelope_id, "order+2017");
}

TEST(Rules, ManyErrorsAreListedUpToTwenty) {
  v1::SendMailRequest request = GoodContent();
  for (int i = 0; i < 50; ++i) request.mutable_content()->add_reply_to()->set_address("no");
  for (int i = 0; i < 50; ++i) request.mutable_content()->add_headers()->set_name("a b");
  EXPECT_EQ(FieldsOf(Check(request)).size(), kMaxFieldErrors);
}

TEST(Reading, DefaultsAndSender) {
  const v1::SendMailRequest request = GoodContent();
  const auto read = ReadRequest(request, {}, kNow);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->tenant, "default");
  EXPECT_EQ(read->sender.ToString(), "alice@ours.test");
  EXPECT_EQ(read->priority, v1::PRIORITY_NORMAL);
  EXPECT_EQ(read->not_before, absl::InfinitePast());
  EXPECT_EQ(read->deliver_by, absl::InfiniteFuture());
  EXPECT_TRUE(read->fingerprint.empty());
}

TEST(Reading, NullSender) {
  for (v1::SendMailRequest request : {GoodContent(), GoodRaw()}) {
    request.set_envelope_sender("<>");
    const auto read = ReadRequest(request, {}, kNow);
    ASSERT_TRUE(read.ok());
    EXPECT_TRUE(read->sender.empty());
  }
}

TEST(Reading, BccIsARecipientAndNotAPart) {
  v1::SendMailRequest request = GoodContent();
  request.mutable_content()->add_bcc()->set_address("secret@ok.test");
  const auto read = ReadRequest(request, {}, kNow);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->recipients.size(), 2u);
  EXPECT_EQ(read->parts->to.size() + read->parts->cc.size(), 1u);
}

TEST(Reading, SenderLikeFromIsDropped) {
  v1::SendMailRequest request = GoodContent();
  request.mutable_content()->mutable_sender()->set_address("alice@OURS.test");
  EXPECT_FALSE(ReadRequest(request, {}, kNow)->parts->sender.has_value());
}

TEST(Reading, DuplicatesByDomainSpellingAreOneByLocalCaseTwo) {
  v1::SendMailRequest request = GoodRaw();
  for (const char* written : {"r@OK.test", "R@ok.test", "r@ok.test"}) request.mutable_raw()->add_recipients(written);
  const auto read = ReadRequest(request, {}, kNow);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->recipients.size(), 4u);
  EXPECT_EQ(DistinctRecipients(read->recipients).size(), 2u);
}

TEST(Fingerprint, SameContentSameValueOtherContentAnother) {
  v1::SendMailRequest one = GoodContent();
  one.set_idempotency_key("k");
  for (int i = 0; i < 20; ++i) (*one.mutable_metadata())[absl::StrCat("k", i)] = "v";
  v1::SendMailRequest again = GoodContent();
  again.set_idempotency_key("k");
  for (int i = 19; i >= 0; --i) (*again.mutable_metadata())[absl::StrCat("k", i)] = "v";
  const std::string fingerprint = ReadRequest(one, {}, kNow)->fingerprint;
  EXPECT_EQ(fingerprint.size(), 32u);
  EXPECT_EQ(ReadRequest(again, {}, kNow + absl::Hours(1))->fingerprint, fingerprint);
  again.mutable_content()->set_text("other");
  EXPECT_NE(ReadRequest(again, {}, kNow)->fingerprint, fingerprint);
}

}  // namespace
}  // namespace hikyaku::submission
