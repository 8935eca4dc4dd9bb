#include "lib/mime/field_writer.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "lib/base/utf8.h"
#include "lib/mime/content_type.h"
#include "lib/mime/text.h"

namespace hikyaku::mime {
namespace {

std::string DecodeQ(absl::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '=') {
      out += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      out += text[i] == '_' ? ' ' : text[i];
    }
  }
  return out;
}

// What a reader shows for the value of one written field: a second reading of RFC 2047 §6.2, apart from the writer's.
// Checks on its way that each encoded-word is short enough and valid UTF-8 alone.
std::string Shown(absl::string_view field) {
  std::string value(field.substr(field.find(':') + 1));
  value = absl::StrReplaceAll(value, {{"\r\n", ""}});
  std::string shown;
  std::string blanks;
  bool after_encoded = false;
  std::size_t at = 0;
  while (at < value.size()) {
    const std::size_t start = std::min(value.find_first_not_of(" \t", at), value.size());
    blanks = value.substr(at, start - at);
    at = std::min(value.find_first_of(" \t", start), value.size());
    const std::string word = value.substr(start, at - start);
    const bool encoded = absl::StartsWith(word, "=?UTF-8?") && absl::EndsWith(word, "?=") && word.size() >= 12;
    if (!(encoded && after_encoded)) shown += blanks;
    if (encoded) {
      EXPECT_LE(word.size(), 75u);
      std::string text = word.substr(10, word.size() - 12);
      std::string decoded = DecodeQ(text);
      if (word[8] == 'B') {
        EXPECT_TRUE(absl::Base64Unescape(text, &decoded)) << text;
      }
      EXPECT_TRUE(IsValidUtf8(decoded)) << word;
      shown += decoded;
    } else {
      shown += word;
    }
    after_encoded = encoded;
  }
  return std::string(TrimBlanks(shown));
}

void CheckForm(absl::string_view field, bool soft_limit = true) {
  ASSERT_TRUE(absl::EndsWith(field, "\r\n"));
  EXPECT_TRUE(IsAscii(field));
  const std::vector<std::string> lines = absl::StrSplit(field.substr(0, field.size() - 2), "\r\n");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].find_first_of("\r\n"), std::string::npos);
    EXPECT_LE(lines[i].size(), soft_limit ? 78u : 998u) << lines[i];
    if (absl::StrContains(lines[i], "=?UTF-8?")) {
      EXPECT_LE(lines[i].size(), 76u) << lines[i];
    }
    if (i == 0) continue;
    EXPECT_TRUE(lines[i][0] == ' ' || lines[i][0] == '\t') << lines[i];
    EXPECT_FALSE(TrimBlanks(lines[i]).empty()) << "a line of blanks alone ends the header for some";
  }
}

TEST(FoldUnstructuredTest, KnownAnswers) {
  struct Case {
    const char* name;
    std::string value;
    std::string field;
  };
  const std::vector<Case> cases = {
      {"Plain", "hello world", "Subject: hello world\r\n"},
      {"Empty", "", "Subject: \r\n"},
      {"BlanksAtTheEnds", "  a \t", "Subject: a\r\n"},
      {"InnerBlanksStay", "a  b\tc", "Subject: a  b\tc\r\n"},
      {"OneForeignWord",
       "Gr\xc3\xbc\xc3\x9f"
       "e aus Bern",
       "Subject: =?UTF-8?B?R3LDvMOfZQ==?= aus Bern\r\n"},
      {"LongForeignWordIsQ", "Donaudampfschifffahrtsgesellschaft\xc3\xbc",
       "Subject: =?UTF-8?Q?Donaudampfschifffahrtsgesellschaft=C3=BC?=\r\n"},
      {"LooksEncoded", "=?utf-8?q?=0d=0aX-Inj:_1?=", "Subject: =?UTF-8?B?PT91dGYtOD9xPz0wZD0wYVgtSW5qOl8xPz0=?=\r\n"},
      {"Control", "a\x01", "Subject: =?UTF-8?Q?a=01?=\r\n"},
      {"FoldsBeforeTheWordThatPasses", std::string(60, 'a') + " " + std::string(20, 'b'),
       "Subject: " + std::string(60, 'a') + "\r\n " + std::string(20, 'b') + "\r\n"},
      {"LongWordIsLeft", std::string(200, 'a'), "Subject: " + std::string(200, 'a') + "\r\n"},
      {"ManyBlanks", "a" + std::string(100'000, ' ') + "b", "Subject: a b\r\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string field = FoldUnstructured("Subject", c.value);
    EXPECT_EQ(field, c.field);
    CheckForm(field, false);
  }
}

TEST(FoldUnstructuredTest, AWordOverALineIsEncoded) {
  for (const int size : {900, 901, 998, 999, 2048, 1'000'000}) {
    const std::string word(size, 'a');
    const std::string field = FoldUnstructured("X-A", word);
    CheckForm(field, size > 900);
    EXPECT_EQ(Shown(field), word);
  }
}

TEST(FoldUnstructuredTest, AnyTextComesBack) {
  std::mt19937 random(2);
  const std::vector<std::string> pieces = {
      " ",  " ",     "  ",         "\t", "a", "word", "=?", "?=", "\xc3\xbc", "\xe9\xa3\x9b", "\xf0\x9f\x90\xa6",
      "\"", "<x@y>", "longerword", "=",  "_"};
  const std::vector<std::string> names = {"S", "Subject", std::string(76, 'X'), std::string(40, 'Y')};
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (int i = random() % 80; i > 0; --i) text += pieces[random() % pieces.size()];
    const std::string field = FoldUnstructured(names[random() % names.size()], text);
    CheckForm(field, false);
    ASSERT_EQ(Shown(field), TrimBlanks(text)) << field;
  }
}

TEST(PhraseRfc5322Section325, TakesTheFormThatTheNameNeeds) {
  struct Case {
    const char* name;
    std::string phrase;
    std::string field;
  };
  const std::vector<Case> cases = {
      {"Atoms", "Alice Smith", "To: Alice Smith <a@x>\r\n"},
      {"Specials", "Smith, Alice", "To: \"Smith, Alice\" <a@x>\r\n"},
      {"QuotesAndBackslashes", "A \"B\" \\C", "To: \"A \\\"B\\\" \\\\C\" <a@x>\r\n"},
      {"Address", "\"><b@evil.test>", "To: \"\\\"><b@evil.test>\" <a@x>\r\n"},
      {"Foreign", "J\xc3\xbcrg", "To: =?UTF-8?B?SsO8cmc=?= <a@x>\r\n"},
      {"ForeignWithQuotes", "\"J\xc3\xbcrg\"", "To: =?UTF-8?B?IkrDvHJnIg==?= <a@x>\r\n"},
      {"LooksEncoded", "=?utf-8?q?a?=", "To: =?UTF-8?B?PT91dGYtOD9xP2E/PQ==?= <a@x>\r\n"},
      {"Empty", "", "To: <a@x>\r\n"},
      {"DoubleBlank", "A  B", "To: \"A  B\" <a@x>\r\n"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    std::string out;
    FieldWriter field("To", &out);
    field.Phrase(c.phrase);
    field.Word("<a@x>");
    field.End();
    EXPECT_EQ(out, c.field);
    CheckForm(out);
  }
}

TEST(PhraseRfc5322Section325, LongNamesAreEncodedAndFolded) {
  for (const std::string& name : {std::string(500, 'a'), std::string(300, ','), std::string(166, ' ') + "b",
                                  absl::StrCat(std::string(300, 'x'), "\xe9\xa3\x9b", std::string(100, '"'))}) {
    std::string out;
    FieldWriter field("From", &out);
    field.Phrase(name);
    field.End();
    CheckForm(out);
    EXPECT_EQ(Shown(out), TrimBlanks(name));
  }
}

// Joins RFC 2231 sections as a reader does.
std::string Filename(absl::string_view field) {
  const auto type = ParseContentType(field.substr(field.find(':') + 1));
  if (!type.ok()) return std::string(type.status().message());
  if (const absl::string_view plain = type->Parameter("filename"); !plain.empty()) return std::string(plain);
  std::string joined(type->Parameter("filename*"));
  for (int i = 0; joined.empty() || i > 0; ++i) {
    const absl::string_view section = type->Parameter(absl::StrCat("filename*", i, "*"));
    if (section.empty()) break;
    absl::StrAppend(&joined, section);
  }
  EXPECT_TRUE(absl::StartsWith(joined, "UTF-8''"));
  std::string decoded;
  for (std::size_t i = 7; i < joined.size(); ++i) {
    if (joined[i] != '%') {
      decoded += joined[i];
    } else {
      decoded += absl::HexStringToBytes(joined.substr(i + 1, 2));
      i += 2;
    }
  }
  return decoded;
}

TEST(ParameterRfc2231, AnyNameComesBack) {
  std::mt19937 random(3);
  const std::vector<std::string> pieces = {
      " ", "a", ".pdf", "\"", "\\", "%", "'", "*", ";", "=", "\xc3\xbc", "\xe9\xa3\x9b", "\xf0\x9f\x90\xa6", "report"};
  for (int round = 0; round < 5000; ++round) {
    std::string name = "x";
    for (int i = random() % 40; i > 0; --i) name += pieces[random() % pieces.size()];
    std::string out;
    FieldWriter field("Content-Disposition", &out);
    field.Word("attachment/x");  // With a slash, so that ParseContentType reads it.
    field.Parameter("filename", name);
    field.End();
    CheckForm(out);
    ASSERT_EQ(Filename(out), name) << out;
  }
}

TEST(ParameterRfc2231, TakesTheSimplestForm) {
  const auto write = [](absl::string_view value) {
    std::string out;
    FieldWriter field("D", &out);
    field.Word("a");
    field.Parameter("filename", value);
    field.End();
    return out;
  };
  EXPECT_EQ(write("a.pdf"), "D: a; filename=a.pdf\r\n");
  EXPECT_EQ(write("a b.pdf"), "D: a; filename=\"a b.pdf\"\r\n");
  EXPECT_EQ(write("\xc3\xbc b.pdf"), "D: a; filename*=UTF-8''%C3%BC%20b.pdf\r\n");
  EXPECT_EQ(write(std::string(100, 'a')),
            absl::StrCat("D: a; filename*0*=UTF-8''", std::string(47, 'a'), ";\r\n filename*1*=", std::string(47, 'a'),
                         ";\r\n filename*2*=", std::string(6, 'a'), "\r\n"));
}

TEST(SafeHeader, Names) {
  for (const char* good : {"X-A", "Subject", "!", "x_y"}) EXPECT_TRUE(IsSafeHeaderName(good)) << good;
  // BATTERY H04.
  for (const std::string& bad :
       {std::string("X A"), std::string("X:A"), std::string("X\tA"), std::string(), std::string("\xc3\xa9"),
        std::string(1000, 'a'), std::string("From "), std::string(" X"), std::string("X\r\n"), std::string("X\0", 2),
        std::string(77, 'a')}) {
    EXPECT_FALSE(IsSafeHeaderName(bad)) << bad;
  }
}

TEST(SafeHeader, Values) {
  for (const char* good :
       {"", "a b", "\xc3\xbc", "tab\t", "\xe5\x98\x8a\xe5\x98\x8dX-Inj: 1", "\xe2\x80\xa8", "\xc2\x85"}) {
    EXPECT_TRUE(IsSafeHeaderValue(good)) << good;
  }
  for (const std::string& bad : {std::string("a\r\nb"), std::string("a\n"), std::string("\r"), std::string("\0", 1),
                                 std::string("\xff"), std::string("\xc3")}) {
    EXPECT_FALSE(IsSafeHeaderValue(bad)) << bad;
  }
}

}  // namespace
}  // namespace hikyaku::mime
