// A header is read without loss: its fields are its bytes, each has a name and a value that cannot break a line. What
// is written as a field reads back as one field.
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/check.h"
#include "lib/mime/content_type.h"
#include "lib/mime/field_writer.h"
#include "lib/mime/header.h"
#include "lib/mime/text.h"
#include "tests/fuzz/oracle.h"

namespace {

using namespace hikyaku::mime;  // NOLINT(google-build-using-namespace): the file is about nothing else.

void CheckFields(absl::string_view message, const HeaderFields& header) {
  std::string sum;
  HIKYAKU_CHECK(header.fields().size() <= kMaxFields && header.header().size() <= kMaxHeaderBytes);
  for (const HeaderField& field : header.fields()) {
    absl::StrAppend(&sum, field.raw);
    HIKYAKU_CHECK(!field.name.empty() && IsAscii(field.name) && !absl::StrContains(field.name, ":"));
    HIKYAKU_CHECK(absl::StartsWith(field.raw, absl::StrCat(field.name, ":", field.value)));
    HIKYAKU_CHECK(!hikyaku::fuzz::HasBareLineEnd(field.value) && field.value.find('\0') == absl::string_view::npos);
    // A line break in a value is a fold: a blank follows.
    for (std::size_t at = field.value.find("\r\n"); at < field.value.size(); at = field.value.find("\r\n", at + 1)) {
      HIKYAKU_CHECK(at + 2 < field.value.size() && (field.value[at + 2] == ' ' || field.value[at + 2] == '\t'));
    }
    const std::string unfolded = field.Unfolded();
    HIKYAKU_CHECK(unfolded.find_first_of("\r\n") == std::string::npos);
    HIKYAKU_CHECK(header.Find(field.name) != nullptr && header.Count(field.name) >= 1);
  }
  HIKYAKU_CHECK(sum == header.header() && absl::StartsWith(message, header.header()));
  HIKYAKU_CHECK(absl::EndsWith(message, header.body()));
  const absl::string_view between = message.substr(header.header().size());
  HIKYAKU_CHECK(between.empty() || between == absl::StrCat("\r\n", header.body()));
}

void CheckContentType(absl::string_view value) {
  if (const auto type = ParseContentType(value); type.ok()) {
    HIKYAKU_CHECK(IsToken(type->type) && IsToken(type->subtype) && type->parameters.size() <= 64);
  }
  const auto leaf = ParseLeafContentType(value);
  if (!leaf.ok()) return;
  HIKYAKU_CHECK(leaf->type != "multipart" && leaf->type != "message" && leaf->Parameter("boundary").empty());
  std::string written;
  FieldWriter writer("Content-Type", &written);
  writer.Word(absl::StrCat(leaf->type, "/", leaf->subtype));
  for (const auto& [name, text] : leaf->parameters) writer.Parameter(name, text);
  writer.End();
  const auto fields = HeaderFields::Parse(written);
  HIKYAKU_CHECK(fields.ok() && fields->fields().size() == 1);
  const auto again = ParseContentType(fields->fields()[0].value);
  HIKYAKU_CHECK(again.ok() && again->type == leaf->type && again->subtype == leaf->subtype);
}

void CheckOneField(const std::string& written) {
  HIKYAKU_CHECK(IsAscii(written) && absl::EndsWith(written, "\r\n") && !hikyaku::fuzz::HasBareLineEnd(written));
  HIKYAKU_CHECK(hikyaku::fuzz::LongestLine(written) <= kMaxLine);
  const auto fields = HeaderFields::Parse(written);
  HIKYAKU_CHECK(fields.ok() && fields->fields().size() == 1 && fields->fields()[0].name == "X-Any");
  HIKYAKU_CHECK(fields->body().empty() && fields->header() == written);
}

void CheckWriter(absl::string_view text) {
  if (!IsSafeHeaderValue(text)) return;
  CheckOneField(FoldUnstructured("X-Any", text));
  std::string phrase, parameter;
  FieldWriter one("X-Any", &phrase);
  one.Phrase(text);
  one.Word("<a@b.test>");
  one.End();
  CheckOneField(phrase);
  FieldWriter two("X-Any", &parameter);
  two.Word("attachment");
  two.Parameter("filename", text);
  two.End();
  CheckOneField(parameter);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto header = HeaderFields::Parse(text); header.ok()) {
    CheckFields(text, *header);
    for (const HeaderField& field : header->fields()) {
      if (field.Is("Content-Type")) CheckContentType(field.value);
    }
  }
  CheckContentType(text);
  CheckWriter(text);
  return 0;
}
