#include "lib/mime/builder.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/mime/content_type.h"
#include "lib/mime/encoding.h"
#include "lib/mime/header.h"

namespace hikyaku::mime {
namespace {

using testing::HasSubstr;

std::function<std::string()> CountingToken() {
  return [n = 0]() mutable { return absl::StrCat("0123456789abcdef0123456789abcd", 10 + n++); };
}

MessageParts Minimal() {
  MessageParts parts;
  parts.from = {"Alice", "alice@ours.test"};
  parts.to = {{"Bob", "bob@ok.test"}};
  parts.subject = "Hello";
  parts.text = "Hi Bob";
  parts.date = absl::FromUnixSeconds(1709629687);
  parts.message_id = "<1@ours.test>";
  parts.boundary_token = CountingToken();
  return parts;
}

MessageParts Full() {
  MessageParts parts = Minimal();
  parts.sender = Mailbox{"Sender", "sender@ours.test"};
  parts.cc = {{"Carol", "carol@ok.test"}};
  parts.reply_to = {{"Reply", "reply@ours.test"}};
  parts.html = "<p>Hi Bob <img src=\"cid:logo@ours.test\"></p>";
  parts.attachments = {{"a.pdf", "application/pdf", "PDF", "", false},
                       {"logo.png", "image/png", "PNG", "logo@ours.test", true}};
  parts.headers = {{"X-One", "1"}};
  return parts;
}

// One entity, read again by other code than wrote it.
struct Entity {
  std::vector<std::string> names;  // Of its header fields.
  std::string type;
  std::string body;  // Decoded; of leaves.
  std::vector<Entity> children;
};

Entity Read(absl::string_view bytes) {
  Entity entity;
  const auto header = HeaderFields::Parse(bytes);
  if (!header.ok()) {
    ADD_FAILURE() << header.status() << "\n" << bytes;
    return entity;
  }
  for (const HeaderField& field : header->fields()) entity.names.emplace_back(field.name);
  const ContentType type = *ParseContentType(header->Find("Content-Type")->value);
  entity.type = absl::StrCat(type.type, "/", type.subtype);
  if (type.type == "multipart") {
    const std::string all = absl::StrCat("\r\n", header->body());
    const std::string delimiter = absl::StrCat("\r\n--", type.Parameter("boundary"));
    const std::vector<std::string> pieces = absl::StrSplit(all, delimiter);
    EXPECT_EQ(pieces.front(), "");
    EXPECT_EQ(pieces.back().substr(0, 2), "--");
    for (std::size_t i = 1; i + 1 < pieces.size(); ++i) entity.children.push_back(Read(pieces[i].substr(2)));
    return entity;
  }
  const HeaderField* encoding = header->Find("Content-Transfer-Encoding");
  const std::string name = encoding == nullptr ? "7bit" : encoding->Unfolded();
  entity.body = name == "base64"             ? *DecodeBase64(header->body())
                : name == "quoted-printable" ? *DecodeQuotedPrintable(header->body())
                                             : std::string(header->body());
  return entity;
}

// "multipart/mixed(text/plain,image/png)"
std::string Structure(const Entity& entity) {
  if (entity.children.empty()) return entity.type;
  return absl::StrCat(
      entity.type, "(",
      absl::StrJoin(entity.children, ",", [](std::string* out, const Entity& child) { out->append(Structure(child)); }),
      ")");
}

std::string Skeleton(const Entity& entity) {
  std::string skeleton = absl::StrCat(entity.type, "{", absl::StrJoin(entity.names, ","), "}");
  for (const Entity& child : entity.children) absl::StrAppend(&skeleton, "[", Skeleton(child), "]");
  return skeleton;
}

void CheckBytes(absl::string_view message) {
  ASSERT_TRUE(absl::EndsWith(message, "\r\n"));
  for (const absl::string_view line : absl::StrSplit(message.substr(0, message.size() - 2), "\r\n")) {
    ASSERT_LE(line.size(), 998u);
    ASSERT_EQ(line.find_first_of(absl::string_view("\r\n\0", 3)), absl::string_view::npos);
  }
}

TEST(BuildMessageRfc5322, AWholeMessageByteForByte) {
  MessageParts parts = Minimal();
  parts.headers = {{"X-One", "1"}};
  EXPECT_EQ(*BuildMessage(parts),
            "Date: Tue, 05 Mar 2024 09:08:07 +0000\r\n"
            "From: Alice <alice@ours.test>\r\n"
            "To: Bob <bob@ok.test>\r\n"
            "Subject: Hello\r\n"
            "Message-ID: <1@ours.test>\r\n"
            "X-One: 1\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 7bit\r\n"
            "\r\n"
            "Hi Bob\r\n");
}

TEST(BuildMessageRfc5322, APartHasItsFieldsAndEndsWhereItsBytesEnd) {
  MessageParts parts = Minimal();
  parts.attachments = {{"r\xc3\xa9sum\xc3\xa9.pdf", "application/pdf", "PDF", "", false}};
  const std::string message = *BuildMessage(parts);
  EXPECT_EQ(message.substr(message.find("Content-Type")),
            "Content-Type: multipart/mixed; boundary=\"=_0123456789abcdef0123456789abcd10\"\r\n"
            "\r\n"
            "--=_0123456789abcdef0123456789abcd10\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 7bit\r\n"
            "\r\n"
            "Hi Bob\r\n"
            "--=_0123456789abcdef0123456789abcd10\r\n"
            "Content-Type: application/pdf\r\n"
            "Content-Transfer-Encoding: base64\r\n"
            "Content-Disposition: attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf\r\n"
            "\r\n"
            "UERG\r\n"
            "--=_0123456789abcdef0123456789abcd10--\r\n");
}

TEST(BuildMessageStructure, LevelsThatHoldOneThingAreLeftOut) {
  const Attachment file{"a.pdf", "application/pdf", "PDF", "", false};
  const Attachment image{"b.png", "image/png", "PNG", "b", true};
  struct Case {
    const char* name;
    const char* text;
    const char* html;
    std::vector<Attachment> attachments;
    const char* structure;
  };
  const std::vector<Case> cases = {
      {"Nothing", "", "", {}, "text/plain"},
      {"Text", "t", "", {}, "text/plain"},
      {"Html", "", "h", {}, "text/html"},
      {"TextAndHtml", "t", "h", {}, "multipart/alternative(text/plain,text/html)"},
      {"HtmlWithInline", "", "h", {image}, "multipart/related(text/html,image/png)"},
      {"TextAndHtmlWithInline",
       "t",
       "h",
       {image},
       "multipart/related(multipart/alternative(text/plain,text/html),image/png)"},
      {"TextWithFile", "t", "", {file}, "multipart/mixed(text/plain,application/pdf)"},
      {"FileAlone", "", "", {file}, "multipart/mixed(application/pdf)"},
      {"InlineWithoutHtml", "t", "", {image}, "multipart/mixed(text/plain,image/png)"},
      {"Everything",
       "t",
       "h",
       {file, image, file},
       "multipart/mixed(multipart/related(multipart/alternative(text/plain,text/html),image/png),"
       "application/pdf,application/pdf)"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    MessageParts parts = Minimal();
    parts.text = c.text;
    parts.html = c.html;
    parts.attachments = c.attachments;
    const auto message = BuildMessage(parts);
    ASSERT_TRUE(message.ok()) << message.status();
    CheckBytes(*message);
    EXPECT_EQ(Structure(Read(*message)), c.structure);
  }
}

TEST(BuildMessageHeader, MailboxListsFoldBetweenAddresses) {
  MessageParts parts = Minimal();
  parts.to.clear();
  for (int i = 0; i < 1000; ++i) parts.to.push_back({absl::StrCat("Person, ", i), absl::StrCat("p", i, "@ok.test")});
  const auto message = BuildMessage(parts);
  ASSERT_TRUE(message.ok());
  for (const absl::string_view line : absl::StrSplit(*message, "\r\n")) EXPECT_LE(line.size(), 78u);
  const auto header = HeaderFields::Parse(*message);
  EXPECT_THAT(header->Find("To")->Unfolded(), HasSubstr("\"Person, 0\" <p0@ok.test>, \"Person, 1\" <p1@ok.test>,"));
}

TEST(BuildMessageHeader, BlindMessageHasAnEmptyGroup) {
  MessageParts parts = Minimal();
  parts.to.clear();
  EXPECT_THAT(*BuildMessage(parts), HasSubstr("\r\nTo: undisclosed-recipients:;\r\n"));
}

TEST(BuildMessageHeader, TooLargeIsRefused) {
  MessageParts parts = Minimal();
  for (int i = 0; i < 20; ++i) parts.headers.emplace_back(absl::StrCat("X-", i), std::string(16'000, 'a'));
  const auto message = BuildMessage(parts);
  EXPECT_EQ(SplitFieldError(message.status()).first, "headers");
}

// BATTERY H03.
TEST(BuildMessageHeader, ReservedNamesAreRefused) {
  for (const char* name : {"From",
                           "from",
                           "Sender",
                           "To",
                           "Cc",
                           "Bcc",
                           "Subject",
                           "Date",
                           "Message-ID",
                           "Message-Id",
                           "MIME-Version",
                           "Content-Type",
                           "Content-Transfer-Encoding",
                           "content-anything",
                           "DKIM-Signature",
                           "Received",
                           "Return-Path",
                           "Reply-To",
                           "ARC-Seal",
                           "ARC-Message-Signature",
                           "Authentication-Results",
                           "Resent-From",
                           "Resent-Bcc"}) {
    MessageParts parts = Minimal();
    parts.headers = {{"X-Good", "1"}, {name, "x"}};
    const auto message = BuildMessage(parts);
    EXPECT_EQ(SplitFieldError(message.status()).first, "headers[1].name") << name;
  }
  for (const char* name : {"List-Unsubscribe", "In-Reply-To", "X-From", "Archived-At", "Precedence"}) {
    EXPECT_FALSE(IsReservedHeaderName(name)) << name;
  }
}

TEST(BuildMessageHeader, OnceOnlyFieldsAreGivenOnce) {
  MessageParts parts = Minimal();
  parts.headers = {{"References", "<a@b>"}, {"references", "<c@d>"}};
  EXPECT_EQ(SplitFieldError(BuildMessage(parts).status()).first, "headers[1].name");
}

// BATTERY H04.
TEST(BuildMessageHeader, UnsafeNamesAreRefused) {
  for (const std::string& name :
       {std::string("X A"), std::string("X:A"), std::string("X\tA"), std::string(), std::string("\xc3\xa9"),
        std::string(1000, 'a'), std::string("From "), std::string(" X"), std::string("X\r\nY")}) {
    MessageParts parts = Minimal();
    parts.headers = {{name, "x"}};
    EXPECT_EQ(SplitFieldError(BuildMessage(parts).status()).first, "headers[0].name") << name;
  }
}

// BATTERY H05: what must not pass as one address.
TEST(BuildMessageHeader, AnAddressStaysOneAddress) {
  for (const char* bad : {"v@ok.test>\r\nRCPT TO:<w@evil.test", "v@ok.test NOTIFY=SUCCESS", "v@ok.test> SIZE=1",
                          "<v@ok.test", "\"a\r\n b\"@ok.test", ";sleep 9;@ok.test", "a@b, c@d", "a", "@b", "a@",
                          "\"a@b", "a\x7f@b", "g:a@b;", "a@b (c)", "\"a\\"}) {
    MessageParts parts = Minimal();
    parts.to.push_back({"", bad});
    EXPECT_EQ(SplitFieldError(BuildMessage(parts).status()).first, "to[1].address") << bad;
  }
  for (const char* good :
       {"-oQ/tmp@ok.test", "\"a b\"@ok.test", "\"<\\\">\"@ok.test", "a@[IPv6:::1]", "\xc3\xbc@ok.test"}) {
    MessageParts parts = Minimal();
    parts.to = {{"", good}};
    EXPECT_THAT(*BuildMessage(parts), HasSubstr(absl::StrCat("\r\nTo: ", good, "\r\n")));
  }
}

TEST(BuildMessageErrors, NameTheField) {
  struct Case {
    const char* path;
    std::function<void(MessageParts*)> spoil;
  };
  const std::vector<Case> cases = {
      {"from.address", [](MessageParts* p) { p->from.address = ""; }},
      {"from.display_name", [](MessageParts* p) { p->from.display_name.assign(513, 'a'); }},
      {"subject", [](MessageParts* p) { p->subject.assign(16 * 1024 + 1, 'a'); }},
      {"headers", [](MessageParts* p) { p->headers.assign(501, {"X", "y"}); }},
      {"headers[0].value", [](MessageParts* p) { p->headers = {{"X", std::string(16 * 1024 + 1, 'a')}}; }},
      {"attachments", [](MessageParts* p) { p->attachments.assign(1001, Attachment{}); }},
      {"attachments[0].filename", [](MessageParts* p) { p->attachments[0].filename = "../a"; }},
      {"attachments[0].filename", [](MessageParts* p) { p->attachments[0].filename = "C:\\a"; }},
      {"attachments[1].content_id", [](MessageParts* p) { p->attachments[1].content_id = "<a@b>"; }},
      {"attachments[1].content_id", [](MessageParts* p) { p->attachments[0].content_id = "logo@ours.test"; }},
      {"message_id", [](MessageParts* p) { p->message_id = "a@b"; }},
      {"message_id", [](MessageParts* p) { p->message_id = "<>"; }},
      {"text", [](MessageParts* p) { p->text = "\xff"; }},
      {"html", [](MessageParts* p) { p->html = "\xc3"; }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.path);
    MessageParts parts = Full();
    c.spoil(&parts);
    const auto message = BuildMessage(parts);
    EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(SplitFieldError(message.status()).first, c.path) << message.status();
    EXPECT_NE(SplitFieldError(message.status()).second, "");
  }
}

// BATTERY H08.
TEST(BuildMessageErrors, ContentTypesThatCouldNestAreRefused) {
  for (const char* bad : {"text/html\r\nX: y", "text/html; boundary=x", "multipart/mixed", "message/rfc822", "x"}) {
    MessageParts parts = Full();
    parts.attachments[0].content_type = bad;
    EXPECT_EQ(SplitFieldError(BuildMessage(parts).status()).first, "attachments[0].content_type") << bad;
  }
}

TEST(BuildMessageErrors, BrokenTokenSourceIsNotUsed) {
  MessageParts parts = Full();
  parts.boundary_token = [] { return std::string("guess"); };
  parts.text = "--=_guess";
  EXPECT_EQ(BuildMessage(parts).status().code(), absl::StatusCode::kInternal);
}

struct FieldUnderAttack {
  const char* path;
  std::string* (*pick)(MessageParts*);
};

const std::vector<FieldUnderAttack>& FieldsUnderAttack() {
  static const std::vector<FieldUnderAttack> kFields = {
      {"subject", [](MessageParts* p) { return &p->subject; }},
      {"from.display_name", [](MessageParts* p) { return &p->from.display_name; }},
      {"from.address", [](MessageParts* p) { return &p->from.address; }},
      {"sender.display_name", [](MessageParts* p) { return &p->sender->display_name; }},
      {"sender.address", [](MessageParts* p) { return &p->sender->address; }},
      {"to[0].display_name", [](MessageParts* p) { return &p->to[0].display_name; }},
      {"to[0].address", [](MessageParts* p) { return &p->to[0].address; }},
      {"cc[0].display_name", [](MessageParts* p) { return &p->cc[0].display_name; }},
      {"cc[0].address", [](MessageParts* p) { return &p->cc[0].address; }},
      {"reply_to[0].display_name", [](MessageParts* p) { return &p->reply_to[0].display_name; }},
      {"reply_to[0].address", [](MessageParts* p) { return &p->reply_to[0].address; }},
      {"headers[0].name", [](MessageParts* p) { return &p->headers[0].first; }},
      {"headers[0].value", [](MessageParts* p) { return &p->headers[0].second; }},
      {"attachments[0].filename", [](MessageParts* p) { return &p->attachments[0].filename; }},
      {"attachments[0].content_type", [](MessageParts* p) { return &p->attachments[0].content_type; }},
      {"attachments[1].content_id", [](MessageParts* p) { return &p->attachments[1].content_id; }},
      {"message_id", [](MessageParts* p) { return &p->message_id; }},
  };
  return kFields;
}

struct Payload {
  const char* id;
  std::string text;
  bool must_fail;  // A CR, LF, NUL or bytes that are no UTF-8.
};

const std::vector<Payload>& Payloads() {
  static const std::vector<Payload> kPayloads = {
      {"I1", "x\r\nBcc: v@evil.test", true},
      {"I2", "x\nX-Inj: 1", true},
      {"I3", "x\rX-Inj: 1", true},
      {"I4", "x\r\n\r\nbody", true},
      {"I5", std::string("x\0y", 3), true},
      {"I6", "x\xe5\x98\x8a\xe5\x98\x8dX-Inj: 1", false},
      {"I7", "x\xe2\x80\xa8X-Inj: 1", false},
      {"I8", "x\xc2\x85X-Inj: 1", false},
      {"I9", "=?utf-8?q?=0d=0aX-Inj:_1?=", false},
      {"I10", "x\r\n .\r\nMAIL", true},
      {"I11", "\"><b@evil.test>", false},
      {"I12", "x\xff\xfe\x80", true},
      {"I13", "a\r\n.\r\nRCPT TO:<b@evil.test>", true},
      {"I14", std::string(1'000'000, 'a'), false},
  };
  return kPayloads;
}

// BATTERY 2.4, H01: every payload in every field is refused with that field's name, or leaves the skeleton (all header
// names of all parts, in order) as it was.
TEST(InjectionBattery24, NoPayloadMakesAFieldOrAPart) {
  const std::string skeleton = Skeleton(Read(*BuildMessage(Full())));
  for (const FieldUnderAttack& field : FieldsUnderAttack()) {
    for (const Payload& payload : Payloads()) {
      SCOPED_TRACE(absl::StrCat(field.path, " ", payload.id));
      MessageParts parts = Full();
      *field.pick(&parts) = payload.text;
      const auto message = BuildMessage(parts);
      if (!message.ok()) {
        EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
        EXPECT_EQ(SplitFieldError(message.status()).first, field.path);
        continue;
      }
      EXPECT_FALSE(payload.must_fail);
      CheckBytes(*message);
      if (field.path != std::string("headers[0].name")) {
        EXPECT_EQ(Skeleton(Read(*message)), skeleton);
      }
      EXPECT_FALSE(absl::StrContains(*message, "\nX-Inj")) << *message;
      EXPECT_FALSE(absl::StrContains(*message, "\nBcc")) << *message;
    }
  }
}

TEST(InjectionBattery24, TextsCannotLeaveTheirPart) {
  const std::string skeleton = Skeleton(Read(*BuildMessage(Full())));
  for (const Payload& payload : Payloads()) {
    for (const bool html : {false, true}) {
      SCOPED_TRACE(absl::StrCat(payload.id, html ? " html" : " text"));
      MessageParts parts = Full();
      (html ? parts.html : parts.text) = payload.text;
      const auto message = BuildMessage(parts);
      if (payload.id == std::string("I12")) {
        EXPECT_EQ(SplitFieldError(message.status()).first, html ? "html" : "text");
        continue;
      }
      ASSERT_TRUE(message.ok());
      CheckBytes(*message);
      const Entity read = Read(*message);
      EXPECT_EQ(Skeleton(read), skeleton);
      EXPECT_EQ(read.children[0].children[0].children[html].body, NormalizeNewlines(payload.text));
    }
  }
}

// BATTERY M01: lines in API texts of any length leave in lines of at most 998.
TEST(BodyBattery210, LongLinesAreEncoded) {
  for (const std::size_t size :
       {std::size_t{78}, std::size_t{998}, std::size_t{999}, std::size_t{2048}, std::size_t{1'000'000}}) {
    SCOPED_TRACE(size);
    const std::string line(size, 'a');
    MessageParts parts = Minimal();
    parts.text = line;
    parts.headers = {{"X-Long", line.substr(0, 16'000)}};
    const auto message = BuildMessage(parts);
    ASSERT_TRUE(message.ok());
    CheckBytes(*message);
    EXPECT_EQ(absl::StripSuffix(Read(*message).body, "\r\n"), line);
  }
}

// BATTERY M06.
TEST(BodyBattery210, AttachmentsOfEverySizeComeBack) {
  std::string all_bytes;
  for (int i = 0; i < 256; ++i) all_bytes.push_back(static_cast<char>(i));
  std::string large;
  large.reserve(25'000'000);
  while (large.size() + 256 <= 25'000'000) large += all_bytes;
  const std::vector<std::string> contents = {"",   "x", all_bytes, std::string(57, '\n'), std::string(57 * 20, '.'),
                                             large};
  MessageParts parts = Minimal();
  for (const std::string& content : contents) parts.attachments.push_back({"f.bin", "", content, "", false});
  const absl::Time start = absl::Now();
  const auto message = BuildMessage(parts);
  const absl::Duration taken = absl::Now() - start;
  RecordProperty("milliseconds", static_cast<int>(absl::ToInt64Milliseconds(taken)));
  ASSERT_TRUE(message.ok());
  CheckBytes(*message);
  const Entity read = Read(*message);
  ASSERT_EQ(read.children.size(), contents.size() + 1);
  for (std::size_t i = 0; i < contents.size(); ++i) EXPECT_TRUE(read.children[i + 1].body == contents[i]) << i;
  EXPECT_EQ(read.children[1].type, "application/octet-stream");
}

// BATTERY H09.
TEST(BodyBattery210, BoundariesAreFreshAndCarryTheToken) {
  MessageParts parts = Full();
  std::vector<std::string> tokens;
  parts.boundary_token = [&, n = 0]() mutable {
    tokens.push_back(absl::StrCat("ffffffffffffffffffffffffffffff", 10 + n++));
    return tokens.back();
  };
  const auto message = BuildMessage(parts);
  ASSERT_TRUE(message.ok());
  ASSERT_EQ(tokens.size(), 3u);
  for (const std::string& token : tokens) EXPECT_THAT(*message, HasSubstr(absl::StrCat("boundary=\"=_", token, "\"")));
}

TEST(BodyBattery210, ABodyThatHoldsTheBoundaryGetsAnother) {
  MessageParts parts = Minimal();
  parts.text = "--=_0123456789abcdef0123456789abcd10\r\nContent-Type: text/html\r\n\r\nx";
  parts.attachments = {{"a", "", "b", "", false}};
  const auto message = BuildMessage(parts);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(Structure(Read(*message)), "multipart/mixed(text/plain,application/octet-stream)");
}

}  // namespace
}  // namespace hikyaku::mime
