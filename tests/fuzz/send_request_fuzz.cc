// From a SendMailRequest to the bytes of a message: nothing that stands in a part makes a header field, a line or a
// recipient of its own, and no blind recipient is named.
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/base/message_id.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"
#include "lib/submission/assemble.h"
#include "lib/submission/failure.h"
#include "lib/submission/request.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/oracle.h"

namespace {

using hikyaku::fuzz::Input;
using hikyaku::mime::HeaderField;
using hikyaku::mime::HeaderFields;
using hikyaku::submission::Assembled;
using hikyaku::submission::AssembleOptions;
using hikyaku::submission::FieldsOf;
using hikyaku::submission::ReadRequest;
using hikyaku::submission::Submission;
namespace v1 = hikyaku::v1;

constexpr char kBlind[] = "blind-recipient@secret.test";

// Text that is likely to pass the checks, or to be refused only at the last of them.
std::string Likely(Input& input) {
  static const char* const kTexts[] = {"",
                                       "a",
                                       "a@b.test",
                                       "\"q s\"@b.test",
                                       "J\xc3\xb6rg M\xc3\xbcller",
                                       "\xe9\xa3\x9b\xe8\x84\x9a\xe9\xa3\x9b\xe8\x84\x9a\xe9\xa3\x9b\xe8\x84\x9a",
                                       "X-Tag",
                                       "text/plain; charset=utf-8",
                                       "line\nline",
                                       "\r\nBcc: x@y.test\r\n\r\nbody",
                                       "=?utf-8?q?x?=",
                                       "a\"b\\c(d)e,f;g:h<i>j"};
  const std::uint8_t choice = input.Byte();
  if (choice >= 0x80) return input.Text(choice >= 0xF0 ? 4000 : 255);
  return kTexts[choice % std::size(kTexts)];
}

void FillMailbox(Input& input, v1::Mailbox* mailbox) {
  mailbox->set_address(input.Flag() ? "someone@b.test" : Likely(input));
  mailbox->set_display_name(Likely(input));
}

void FillContent(Input& input, v1::Content* content) {
  FillMailbox(input, content->mutable_from());
  if (input.Byte() % 4 == 1) FillMailbox(input, content->mutable_sender());
  for (int i = input.Byte() % 4; i > 0; --i) FillMailbox(input, content->add_to());
  for (int i = input.Byte() % 4; i > 2; --i) FillMailbox(input, content->add_cc());
  for (int i = input.Byte() % 4; i > 2; --i) FillMailbox(input, content->add_reply_to());
  content->add_bcc()->set_address(kBlind);
  content->set_subject(Likely(input));
  if (input.Flag()) content->set_text(Likely(input));
  if (input.Flag()) content->set_html(Likely(input));
  for (int i = input.Byte() % 4; i > 1; --i) {
    v1::Attachment* attachment = content->add_attachments();
    attachment->set_filename(Likely(input));
    attachment->set_content_type(Likely(input));
    attachment->set_content(Likely(input));
    attachment->set_content_id(Likely(input));
  }
  for (int i = input.Byte() % 4; i > 1; --i) {
    v1::Header* header = content->add_headers();
    header->set_name(input.Flag() ? "X-Any" : Likely(input));
    header->set_value(Likely(input));
  }
}

v1::SendMailRequest Build(Input& input) {
  v1::SendMailRequest request;
  if (input.Byte() % 4 != 1) {
    FillContent(input, request.mutable_content());
  } else {
    request.mutable_raw()->add_recipients("b@c.test");
    request.set_envelope_sender(Likely(input));
    request.mutable_raw()->set_data(
        absl::StrCat("From: ", Likely(input), "\r\nBcc: ", kBlind, "\r\n\r\n", Likely(input)));
  }
  if (input.Byte() % 8 == 1) request.set_idempotency_key(Likely(input));
  if (input.Byte() % 8 == 1) request.set_tenant(Likely(input));
  return request;
}

// Every field stands there because we write it or because the client named it.
void CheckBuilt(const Assembled& assembled, const v1::Content& content) {
  const auto header = HeaderFields::Parse(assembled.bytes);
  HIKYAKU_CHECK(header.ok());
  std::multiset<std::string> custom;
  for (const v1::Header& each : content.headers()) custom.insert(absl::AsciiStrToLower(each.name()));
  for (const HeaderField& field : header->fields()) {
    const std::string name = absl::AsciiStrToLower(field.name);
    if (const auto given = custom.find(name); given != custom.end()) {
      custom.erase(given);
      continue;
    }
    static const std::set<std::string> kOurs = {"received",
                                                "date",
                                                "from",
                                                "sender",
                                                "reply-to",
                                                "to",
                                                "cc",
                                                "subject",
                                                "message-id",
                                                "mime-version",
                                                "content-type",
                                                "content-transfer-encoding",
                                                "content-disposition",
                                                "content-id"};
    HIKYAKU_CHECK(kOurs.count(name) == 1 && header->Count(name) == 1);
  }
  HIKYAKU_CHECK(custom.empty() && header->Count("From") == 1);
  // Whoever is only blind is nowhere; one that is also named openly, or in a text, is.
  v1::Content open = content;
  open.clear_bcc();
  if (!absl::StrContains(open.SerializeAsString(), "secret")) {
    HIKYAKU_CHECK(!absl::StrContains(assembled.bytes, "blind-recipient@secret"));
  }
}

void CheckSubmission(const Submission& submission, const v1::SendMailRequest& request) {
  HIKYAKU_CHECK(submission.parts.has_value() != (submission.raw != nullptr));
  HIKYAKU_CHECK(!submission.recipients.empty() && !submission.tenant.empty());
  AssembleOptions options;
  options.hostname = "mx.test";
  const auto assembled = Assemble(submission, *hikyaku::MessageId::FromText("00000000000000000000000000"), options);
  if (!assembled.ok()) {
    HIKYAKU_CHECK(absl::IsInvalidArgument(assembled.status()) || absl::IsResourceExhausted(assembled.status()));
    return;
  }
  const std::string& bytes = assembled->bytes;
  HIKYAKU_CHECK(!hikyaku::fuzz::HasBareLineEnd(bytes) && bytes.find('\0') == std::string::npos);
  HIKYAKU_CHECK(hikyaku::fuzz::LongestLine(bytes) <= 998 && absl::EndsWith(bytes, "\r\n"));
  HIKYAKU_CHECK(assembled->eight_bit == !hikyaku::mime::IsAscii(bytes));
  if (request.has_content()) return CheckBuilt(*assembled, request.content());
  const auto header = HeaderFields::Parse(bytes);
  HIKYAKU_CHECK(header.ok() && header->Count("Bcc") == 0 && header->Count("From") == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  v1::SendMailRequest request;
  if (input.Flag() || !request.ParseFromArray(data, static_cast<int>(size))) request = Build(input);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const auto submission = ReadRequest(request, {.recipients = 100}, now);
  if (submission.ok()) {
    CheckSubmission(*submission, request);
  } else {
    HIKYAKU_CHECK(absl::IsInvalidArgument(submission.status()) || absl::IsUnimplemented(submission.status()));
    HIKYAKU_CHECK(!FieldsOf(submission.status()).empty());
  }
  return 0;
}
