#include "lib/mime/content_type.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace hikyaku::mime {
namespace {

std::string Show(const absl::StatusOr<ContentType>& type) {
  if (!type.ok()) return "error";
  std::string shown = absl::StrCat(type->type, "/", type->subtype);
  for (const auto& [name, value] : type->parameters) absl::StrAppend(&shown, ";", name, "=[", value, "]");
  return shown;
}

TEST(ParseContentTypeRfc2045Section51, ReadsWhatMailHolds) {
  struct Case {
    const char* name;
    const char* value;
    const char* parsed;
  };
  const std::vector<Case> cases = {
      {"Simple", " text/plain", "text/plain"},
      {"CaseOfNamesIsDropped", "Text/HTML; CharSet=UTF-8", "text/html;charset=[UTF-8]"},
      {"Quoted", "a/b; x=\"c; \\\"d\\\"\"", "a/b;x=[c; \"d\"]"},
      {"Folded", "a/b;\r\n\tboundary=\"x\";\r\n y=z", "a/b;boundary=[x];y=[z]"},
      {"Comments", "a/b (c (d) \\) e) ; x=y (z)", "a/b;x=[y]"},
      {"TrailingSemicolon", "a/b;", "a/b"},
      {"BoundaryWithoutQuotes", "multipart/mixed; boundary=----=_Part/0?1",
       "multipart/mixed;boundary=[----=_Part/0?1]"},
      {"FoldInsideQuotes", "a/b; x=\"c\r\n d\"", "a/b;x=[c d]"},
      {"Empty", "", "error"},
      {"NoSubtype", "text", "error"},
      {"NoSubtypeAfterSlash", "text/; a=b", "error"},
      {"NoSemicolon", "a/b c=d", "error"},
      {"NoValueName", "a/b; =d", "error"},
      {"OpenQuote", "a/b; c=\"d", "error"},
      {"EscapeAtEnd", "a/b; c=\"d\\", "error"},
      {"OpenComment", "a/b (", "a/b"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(Show(ParseContentType(c.value)), c.parsed);
  }
}

TEST(ParseContentTypeRfc2045Section51, ParametersAreBounded) {
  std::string value = "a/b";
  for (int i = 0; i < 65; ++i) value += "; a=b";
  EXPECT_FALSE(ParseContentType(value).ok());
}

// BATTERY H08.
TEST(ParseLeafContentTypeTest, RefusesWhatCouldNest) {
  for (const char* bad :
       {"multipart/mixed", "MULTIPART/x; boundary=y", "message/rfc822", "message/partial", "text/html; boundary=x",
        "text/html; Boundary=\"x\"", "text/html\r\nX: y", "text/html\nX: y", "text/html;\r\n charset=utf-8", "text",
        "/plain", "text/plain; charset", "text/plain; charset=", "text/plain; name*=UTF-8''x", "text/plain; a=b; a=c",
        "text/ pl\xc3\xa4in", "te xt/plain", ""}) {
    EXPECT_EQ(ParseLeafContentType(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(ParseLeafContentType("text/plain; a=" + std::string(500, 'a')).ok());
}

TEST(ParseLeafContentTypeTest, TakesOrdinaryTypes) {
  for (const char* good :
       {"application/pdf", "text/calendar; method=REQUEST; charset=\"utf-8\"",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "image/svg+xml"}) {
    EXPECT_TRUE(ParseLeafContentType(good).ok()) << good;
  }
}

}  // namespace
}  // namespace hikyaku::mime
