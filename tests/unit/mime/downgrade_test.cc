#include "lib/mime/downgrade.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

using testing::HasSubstr;

TEST(Downgrade8BitRfc6152, ConvertsWhatItMayAndNothingElse) {
  struct Case {
    const char* name;
    std::string message;
    std::string converted;
  };
  const std::vector<Case> cases = {
      {"AsciiIsCopied", "From: a@x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nhello\r\n",
       "From: a@x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nhello\r\n"},
      {"TextAsQuotedPrintable",
       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nTo: "
       "b@x\r\n\r\n"
       "Gr\xc3\xbc\xc3\x9f aus Bern und bis bald=\r\n",
       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nTo: b@x\r\n"
       "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9F aus Bern und bis bald=3D\r\n"},
      {"TextAsBase64",
       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xe9\xa3\x9b\xe8\x84\x9a\r\n",
       "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
       "6aOb6ISaDQo=\r\n"},
      {"NoMimeFieldsUtf8", "From: a@x\r\n\r\nsome words and \xc3\xbc\r\n",
       "From: a@x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
       "Content-Transfer-Encoding: quoted-printable\r\n\r\nsome words and =C3=BC\r\n"},
      {"NoMimeFieldsUnknown", "From: a@x\r\n\r\nsome words and \xfc\r\n",
       "From: a@x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
       "Content-Transfer-Encoding: quoted-printable\r\n\r\nsome words and =FC\r\n"},
      {"BinaryAsBase64",
       "MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: 8BIT\r\n\r\nmostly ascii "
       "\xff\r\n",
       "MIME-Version: 1.0\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
       "bW9zdGx5IGFzY2lpIP8NCg==\r\n"},
      {"PartsOfAMultipart",
       "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
       "preamble\r\n--b b\r\n\r\nascii\r\n--b b \r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
       "some words and \xc3\xbc\r\n--b bc is text\r\n--b b\r\n--b b--\r\nepilogue\r\n",
       "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b b\"\r\n\r\n"
       "preamble\r\n--b b\r\n\r\nascii\r\n--b b \r\nContent-Type: text/plain\r\n"
       "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
       "some words and =C3=BC\r\n--b bc is text\r\n--b b\r\n--b b--\r\nepilogue\r\n"},
      {"NestedAndUnclosed",
       "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
       "Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nsome words and \xc3\xbc\r\n--i--\r\n",
       "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
       "Content-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain; charset=utf-8\r\n"
       "Content-Transfer-Encoding: quoted-printable\r\n\r\nsome words and =C3=BC\r\n--i--\r\n"},
      {"UnreadableTypeIsOpaque", "MIME-Version: 1.0\r\nContent-Type: text\r\n\r\n\xff\r\n",
       "MIME-Version: 1.0\r\nContent-Type: text\r\nContent-Transfer-Encoding: base64\r\n\r\n/w0K\r\n"},
      {"SignedAsciiBesideEightBit",
       "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
       "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n--o\r\n\r\nsome words and "
       "\xc3\xbc\r\n--o--\r\n",
       "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
       "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx\r\n--s--\r\n--o\r\n"
       "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
       "some words and =C3=BC\r\n--o--\r\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto converted = Downgrade8Bit(c.message);
    ASSERT_TRUE(converted.ok()) << converted.status();
    EXPECT_EQ(*converted, c.converted);
    EXPECT_TRUE(IsAscii(*converted));
  }
}

std::string Nested(int depth) {
  std::string open = "MIME-Version: 1.0\r\n";
  for (int i = 0; i < depth; ++i) {
    absl::StrAppend(&open, "Content-Type: multipart/mixed; boundary=b", i, ".\r\n\r\n--b", i, ".\r\n");
  }
  return open + "\r\n\xc3\xbc\r\n";
}

TEST(Downgrade8BitErrors, RefuseWhatWouldBeHarmed) {
  const std::string mixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
  struct Case {
    const char* name;
    std::string message;
    const char* says;
  };
  const std::vector<Case> cases = {
      {"Header", "Subject: \xc3\xbc\r\n\r\nx\r\n", "header"},
      {"PartHeader", mixed + "--b\r\nX: \xc3\xbc\r\n\r\nx\r\n--b--\r\n", "header"},
      {"Signed", "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xbc\r\n--b--\r\n",
       "multipart/signed"},
      {"Message", mixed + "--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\xc3\xbc\r\n--b--\r\n",
       "message/rfc822"},
      {"Digest", "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nA: b\r\n\r\n\xc3\xbc\r\n--b--\r\n",
       "message/rfc822"},
      {"Preamble", mixed + "\xc3\xbc\r\n--b\r\n\r\nx\r\n--b--\r\n", "outside"},
      {"DelimiterInsideTheFirstLine", mixed + "\xfc--b\r\n\r\nx\r\n--b--\r\n", "outside"},
      {"Epilogue", mixed + "--b\r\n\r\nx\r\n--b--\r\n\xc3\xbc\r\n", "outside"},
      {"NoDelimiter", mixed + "\xc3\xbc\r\n", "outside"},
      {"NoBoundary", "Content-Type: multipart/mixed\r\n\r\n\xc3\xbc\r\n", "no boundary"},
      {"LongBoundary", "Content-Type: multipart/mixed; boundary=" + std::string(71, '-') + "\r\n\r\n\xc3\xbc\r\n",
       "70"},
      {"WrongLabel", "Content-Transfer-Encoding: base64\r\n\r\n\xc3\xbc\r\n", "does not say"},
      {"UnreadableHeader", mixed + "--b\r\nnonsense \xc3\xbc\r\n--b--\r\n", "no colon"},
      {"TooDeep", Nested(21), "nested"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto converted = Downgrade8Bit(c.message);
    ASSERT_EQ(converted.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(converted.status().message()), HasSubstr(c.says));
  }
  EXPECT_TRUE(Downgrade8Bit(Nested(20)).ok());
}

TEST(Downgrade8BitErrors, ManyTinyPartsDoNotGrowWithoutBound) {
  std::string message = "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 1001; ++i) message += "--b\r\n\r\n\xc3\xbc\r\n";
  EXPECT_EQ(Downgrade8Bit(message).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace hikyaku::mime
